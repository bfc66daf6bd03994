"""Scripts that measure atelier beside what it is compared with, and print a table."""

import os

# What the measured processes are given: the surroundings as they are before atelier is imported,
# which may set OMP_WAIT_POLICY for its own process; and with bytecode, without which every import
# of torch takes seconds more.
SURROUNDINGS = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}
