import pytest

from v7_task_processor.web.dashboard.tree import CHARS_MAX, LEVELS_MAX, NODES_MAX, Node, tree


def test_what_was_sent_stands_in_it_to_the_letter() -> None:
    assert tree('{"a": 1E5, "a": -0.0, "n": 12345678901234567890123, "t": ["x", true, null, {}]}') == [
        Node(0, "", None, "object", "{4}"),
        Node(1, "a", "1E5", "number", ""),
        Node(1, "a", "-0.0", "number", ""),
        Node(1, "n", "12345678901234567890123", "number", ""),
        Node(1, "t", None, "array", "[4]"),
        Node(2, "0", '"x"', "string", ""),
        Node(2, "1", "true", "word", ""),
        Node(2, "2", "null", "word", ""),
        Node(2, "3", None, "object", "{0}"),
    ]


@pytest.mark.parametrize("text", ["", "{", "[1," * 60_000, "x" * (CHARS_MAX + 1)])
def test_what_makes_no_tree(text: str) -> None:
    assert tree(text) is None


def test_it_is_bounded() -> None:
    wide = tree(f"[{','.join('1' * 1000)}]")
    assert wide is not None and len(wide) == NODES_MAX + 1 and wide[-1].kind == "cut"
    deep = tree("[" * 400 + "]" * 400)
    assert deep is not None and max(node.level for node in deep) == LEVELS_MAX + 1
