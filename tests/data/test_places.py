"""What a place is called."""

from wean.data.normalize import place_of
from word_demos import HALL, KITCHEN


def test_a_place_is_called_by_the_first_line_of_what_is_seen() -> None:
    assert (place_of(KITCHEN), place_of(HALL), place_of("")) == ("kitchen", "hall", "")
