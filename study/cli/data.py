"""The commands on data: prepare them once, and look at them before hours are spent. No logic."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from study.cli import completion
from study.cli.console import console, say, say_next

Benchmark = Annotated[
    str, typer.Argument(metavar="NAME", help="The benchmark's name.", autocompletion=completion.benchmarks)
]


def data(
    name: Benchmark,
    root: Annotated[Path | None, typer.Option(help="A folder in the published layout.")] = None,
    raw: Annotated[
        list[Path] | None, typer.Option(metavar="PATH", help="An original download; repeat for several.")
    ] = None,
    choose: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A reading that the originals leave open.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Convert anew, in the place of what is prepared.")] = False,
) -> None:
    """Prepare the data of a benchmark: converted once, and found by name from then on. Shows them where they are.

    Examples: `study data nyuv2 --root ~/nyuv2`, `study data nyuv2 --raw nyu_depth_v2_labeled.mat`, `study data nyuv2`
    """
    from go4align.benchmarks.registry import data_source

    source = data_source(name)
    if root is None and not raw and not again:
        prepared, converted = source.open(), False
    else:
        prepared, converted = source.prepare(root, raw or (), choose or (), again=again)
    say(f"{name}: {'prepared' if converted else 'prepared already'} from {prepared.source or 'a package'}")
    if prepared.note:
        say(f"Note: {prepared.note}")
    for array, content in prepared.arrays.items():
        say(f"  {array}: {' x '.join(map(str, content.shape))} {content.dtype}")
    say(f"digest {prepared.digest}, in {prepared.folder}")
    if not converted:
        say("Convert anew: --again, with --root or --raw.")
    say_next(f"study run {name}")


def doctor(
    name: Benchmark,
    root: Annotated[Path, typer.Option(help="A folder in the published layout.")],
    picture: Annotated[Path, typer.Option(help="Where samples are drawn, as PNG.")] = Path("doctor.png"),
) -> None:
    """Look at a data set before hours are spent on it: counts, ranges, what is missing, and a picture.

    Ends with code 1 where something is wrong.

    Example: `study doctor nyuv2 --root ~/nyuv2 --picture nyuv2.png`
    """
    from go4align.benchmarks.pictures import compose
    from go4align.benchmarks.registry import data_source
    from study.cli import tables

    found = data_source(name).inspect(root)
    console().print(tables.findings_table(name, found))
    if found.samples:
        compose(found.samples, picture)
        say(f"Samples are drawn in {picture}.")
    if not found.usable:
        raise typer.Exit(1)
    say_next(f"study data {name} --root {shlex.quote(str(root))}")
