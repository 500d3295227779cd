"""The timing tables as CSV files; docs/timing.md describes their columns and sources."""
