"""What a run and its exports cost on this machine, and which of them to use.

`entry` has the public `bench`. Nothing is imported here: each measured process comes through this
package, and what it loads would be counted as its cold start and its memory.
"""
