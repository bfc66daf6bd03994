"""Scripts that measure atelier beside what it is compared with, and print a table."""
