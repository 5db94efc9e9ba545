"""A study on a cluster: its file is checked, Ray's own launcher starts and stops it, the study runs as a Ray job.

What runs on its head is in `head`, which needs Ray.
"""

from study.cluster.checks import cluster_store, findings
from study.cluster.data import data_findings, data_looks
from study.cluster.files import ClusterFile, load_cluster
from study.cluster.launcher import ClusterLaunch, attach_steps, check_packages, down_steps, launch_steps, look_steps
from study.cluster.nodes import Expected, NodeKind, expected, node_kinds
from study.cluster.runner import left_behind, run_steps, show_steps
from study.cluster.staging import stage

__all__ = [
    "ClusterFile",
    "ClusterLaunch",
    "Expected",
    "NodeKind",
    "attach_steps",
    "check_packages",
    "cluster_store",
    "data_findings",
    "data_looks",
    "down_steps",
    "expected",
    "findings",
    "launch_steps",
    "left_behind",
    "load_cluster",
    "look_steps",
    "node_kinds",
    "run_steps",
    "show_steps",
    "stage",
]
