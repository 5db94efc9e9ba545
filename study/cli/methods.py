"""`study methods`: what a study can name under `methods`. No logic."""

from study.cli.console import console, say


def methods() -> None:
    """List every method: what it combines, what a step costs beyond the forward pass, and its source.

    `--methods all` means those without `torchjd.` before their names, but for stl. TorchJD's have to be named.
    """
    from go4align.errors import UserError
    from go4align.weighting.descriptions import describe
    from go4align.weighting.registry import available_methods, refused_torchjd_methods, torchjd_methods
    from study.cli.tables import methods_table

    found, broken = {}, []
    for name in (*available_methods(), *torchjd_methods()):
        try:
            found[name] = describe(name)
        except UserError as error:  # another package's
            broken.append(str(error))
    console().print(methods_table(found))
    for line in broken:
        say(line)
    for name, reason in refused_torchjd_methods().items():
        say(f"{name} is no method here: it {reason}.")
