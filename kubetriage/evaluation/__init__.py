"""Measuring the diagnosis on labelled cases. The engine never sees a label: the tables that turn
our causes into a benchmark's words are here and nowhere else."""
