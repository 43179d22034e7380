import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.parsed_text import parsed_json


def test_json_comes_back():
    assert parsed_json('{"a": [1, null]}', "x.json") == {"a": [1, None]}
    assert parsed_json(b"2.5", "x.json") == 2.5


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as JSON"), (b"\xff\xfe\xfa", "cannot be read as JSON"), ("[" * 200000, "too deeply")],
)
def test_what_is_none_names_file_and_place(text, message):
    with pytest.raises(InputFileError, match=rf"x\.h5 \[/entry\]: .*{message}"):
        parsed_json(text, "x.h5", "/entry")
