"""Kernels compiled to machine code for a GPU that need not be here: prints the size of each.

To be run in a process of its own: where the tests interpret kernels, nothing can be compiled.
"""

from itertools import product

from triton import compile as compiled
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from go4align.grouping.fused_kmeans import _kmeans
from go4align.weighting.fused_indicator import _log_gamma

KMEANS = {"values_at": "*fp64", "labels_at": "*i64", "centres_at": "*fp64", "size": "i32", "n_centres": "i32"}
DOUBLES = dict.fromkeys(("log_q_at", "settings_at", "renewed_at", "log_gamma_at"), "*fp64")
AMPERE, HOPPER = (GPUTarget("cuda", capability, 32) for capability in (80, 90))


def main() -> None:
    for block, auto, logarithmic in product((2, 64), (True, False), (True, False)):
        chosen = {"BLOCK": block, "AUTO": auto, "LOGARITHMIC": logarithmic}
        options = {"num_warps": max(4, block // 4), "enable_fp_fusion": False}
        made = compiled(ASTSource(_kmeans, KMEANS, chosen), target=HOPPER, options=options)
        print("kmeans", block, len(made.asm["cubin"]))
    for dtype, smooth, target in (("fp32", True, HOPPER), ("bf16", False, HOPPER), ("fp16", True, AMPERE)):
        types = {"losses_at": f"*{dtype}", **DOUBLES, "size": "i32"}
        chosen = {"BLOCK": 16, "SMOOTH": smooth, "SCALED": True}
        made = compiled(ASTSource(_log_gamma, types, chosen), target=target)
        print("log_gamma", 16, len(made.asm["cubin"]))


if __name__ == "__main__":
    main()
