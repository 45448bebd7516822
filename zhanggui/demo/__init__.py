"""A whole store and a cloud on one machine: the files of a demo store, its processes, its story, its report."""
