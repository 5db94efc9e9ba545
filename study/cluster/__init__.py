"""A study on a cluster: its file is checked, Ray's own launcher starts and stops it, the study runs as a Ray job."""
