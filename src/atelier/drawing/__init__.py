"""Pictures and pages: what all that draw have in common. Needs matplotlib, and no torch."""
