"""Data, not code: one YAML file per benchmark, read by `study.spec.search_space`."""
