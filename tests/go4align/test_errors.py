"""What a user's mistake looks like: one line that only prints, whatever was found."""

import pickle

import pytest

from go4align.errors import UserError, unknown_name


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ("a\nb\t c", "a b c"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\x00", r"\x00"),
        ("\u202eright to left", r"\u202eright to left"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\ud800", r"\ud800"),
        ("größe", "größe"),
    ],
)
def test_a_message_is_one_line_that_only_prints(found: str, shown: str) -> None:
    message = str(UserError(f"Found '{found}'."))
    assert message == f"Found '{shown}'."
    assert message.isprintable()


def test_a_very_long_message_keeps_its_beginning_and_its_remedy() -> None:
    message = str(UserError(f"Unknown key {'x' * 10_000}. Remove it."))
    assert message.startswith("Unknown key x") and message.endswith("x. Remove it.")
    assert len(message) < 500


def test_a_message_survives_the_way_between_processes() -> None:
    error = UserError("a\x1bb")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_look_alike_is_told_from_the_name_it_looks_like() -> None:
    message = str(unknown_name("method", "fаmo", ["famo", "ls"]))  # a Cyrillic a
    assert message == r"Unknown method 'f\u0430mo'. Did you mean 'famo'? Known: famo, ls."


def test_of_many_known_names_the_nearest_are_listed() -> None:
    message = str(unknown_name("study", "sweep-0400", [f"sweep-{number:04d}" for number in range(1000)]))
    assert "Did you mean 'sweep-0400'?" in message and message.endswith("and 976 more.")
    assert len(message) < 500
