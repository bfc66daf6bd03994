"""The topics of a report, a module for each: from what is known of the runs to a section."""
