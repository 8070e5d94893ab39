"""The page's files: words in every language, nothing inline, nothing from elsewhere, small, and in the package."""

import fnmatch
import re
import runpy
import sys
from unittest import mock

import pytest
from page_files import ELEMENTS, INDEX, PAGE, ROOT, SCRIPTS, STYLES, TEXT

FILES = sorted(path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*") if path.is_file())
CODE = "\n".join(SCRIPTS.values())
LINES = 250
IDS = [attributes["id"] for _, attributes in ELEMENTS if "id" in attributes]
MADE_IN_CODE = re.compile(r"id: `([a-z-]+)\$\{")  # of the rows of lists
PLACEHOLDER = re.compile(r"\{\w+\}")


def keys_of_markup():
    names = ("data-text", "data-label", "data-hint")
    return {attributes[name] for _, attributes in ELEMENTS for name in names if name in attributes}


def test_every_language_has_the_same_keys_and_placeholders():
    english = TEXT["en"]
    assert set(TEXT) == {"en", "de", "zh"} and len(english) > 150
    for language, texts in TEXT.items():
        assert set(texts) == set(english), language
        for key, text in texts.items():
            assert text.strip() == text != "", (language, key)
            assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(english[key])), (language, key)


def test_every_key_that_is_used_exists():
    asked = keys_of_markup() | set(re.findall(r'\bt\("([^"]+)"', CODE))
    for call in re.findall(r"\bt\(([^()]*\?[^()]*)[,)]", CODE):  # t(condition ? "one" : "other")
        asked |= set(re.findall(r'"([a-z0-9]+(?:\.[a-z0-9]+)+)"', call))
    assert len(asked) > 150
    assert asked <= set(TEXT["en"]), sorted(asked - set(TEXT["en"]))
    for start in prefixes():
        assert any(key.startswith(start) for key in TEXT["en"]), start


def prefixes():
    """Of keys that code puts together: t(`jobs.state.${state}`)."""
    return set(re.findall(r"`([a-z.]+\.)\$\{", CODE))


def test_no_key_is_unused():
    used = keys_of_markup() | set(re.findall(r'"([a-z0-9]+(?:\.[a-z0-9]+)+)"', CODE))
    unused = {key for key in TEXT["en"] if key not in used and not key.startswith(tuple(prefixes()))}
    assert not unused, sorted(unused)


def test_values_of_a_text_are_given():
    """t(key, {…}) names every placeholder of its text; calls without values have texts without."""
    for key, values in re.findall(r'\bt\("([^"]+)"(?:, \{([^}]*)\})?\)', CODE):
        given = {part.split(":")[0].strip() for part in values.split(",")} if values else set()
        assert {name.strip("{}") for name in PLACEHOLDER.findall(TEXT["en"][key])} == given, key


@pytest.mark.parametrize("name", [name for name in FILES if name != "text.json"])
def test_no_address_leads_elsewhere(name):
    text = (PAGE / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(?:https?|wss?|ftp):|[\"'(]\s*//\w", re.sub(r'"wss?:"|"https:"', "", text)), name


def test_texts_name_this_machine_alone():
    texts = "\n".join(text for texts in TEXT.values() for text in texts.values())
    assert set(re.findall(r"\w+://[\w.]+\w", texts)) == {"http://localhost"}


def test_nothing_is_inline():
    for tag, attributes in ELEMENTS:
        assert tag != "style" and "style" not in attributes, attributes
        assert not [name for name in attributes if name.startswith("on")], attributes
        assert tag != "script" or attributes.get("src"), attributes
        assert not str(attributes.get("href", "")).startswith(("javascript:", "data:")), attributes
    forbidden = "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", '"style",'
    for name, text in SCRIPTS.items():
        assert not [word for word in forbidden if word in text], name
        assert not re.search(r"\.style\.?[a-zA-Z]* = |setTimeout\(\s*[\"'`]", text), name


def luminance(colour):
    """Of "#rrggbb", as WCAG 2 defines it."""
    linear = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in linear]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear))


@pytest.mark.parametrize(
    "inks, grounds, least",
    [
        ("ink soft accent wrong", "ground card sunken raised", 4.5),  # text
        ("accent accent-strong ink soft", "accent-wash", 4.5),
        ("on-accent", "accent accent-strong", 4.5),
        ("wrong ink", "wrong-wash", 4.5),
        ("edge before accent", "card sunken", 3.0),  # borders of fields, marks
    ],
)
def test_colours_are_told_apart(inks, grounds, least):
    """In light and dark; what axe sees of a page is what happens to be on it."""
    found = re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\)", STYLES["css/base.css"])
    colours = {name: both for name, *both in found}
    for ink in inks.split():
        for ground in grounds.split():
            for theme in (0, 1):
                dark, light = sorted(map(luminance, (colours[ink][theme], colours[ground][theme])))
                assert (light + 0.05) / (dark + 0.05) >= least, (ink, ground, theme)


def test_files_are_small():
    long = {name: text.count("\n") for name, text in (SCRIPTS | STYLES).items() if text.count("\n") > LINES}
    assert not long
    assert sum((PAGE / name).stat().st_size for name in FILES) < 300_000


def test_every_file_is_asked_for_and_every_asked_file_is_there():
    asked = {"index.html"}
    for tag, attributes in ELEMENTS:
        asked |= {attributes[name] for name in ("src", "href") if tag in ("script", "link") and attributes.get(name)}
    for name, text in SCRIPTS.items():
        folder = (PAGE / name).parent
        for path in re.findall(r'(?:from|import) "(\.[^"]+)"|new URL\("(\.[^"]+)", import\.meta', text):
            asked.add((folder / (path[0] or path[1])).resolve().relative_to(PAGE.resolve()).as_posix())
    assert asked == set(FILES)


def test_elements_that_code_and_labels_name_exist():
    made = set(MADE_IN_CODE.findall(CODE))
    assert len(IDS) == len(set(IDS)) > 100
    named = set(re.findall(r'\bfind\("([^"]+)"\)', CODE))
    for name in ("for", "aria-controls", "aria-labelledby"):
        named |= {attributes[name] for _, attributes in ELEMENTS if attributes.get(name)}
    named |= {attributes["href"][1:] for tag, attributes in ELEMENTS if tag == "use"}
    named |= {f"i-{name}" for name in re.findall(r'\bicon(?:Button)?\("([a-z]+)"', CODE)}
    assert named <= set(IDS), sorted(named - set(IDS))
    assert made, "rows have ids"


def test_the_list_of_handles_is_true():
    """The comment at the top of index.html, which tests of the page in a browser go by."""
    comment = INDEX[INDEX.index("<!-- Handles") : INDEX.index("-->")]
    ids = set(re.findall(r"#([a-z0-9-]+)", comment))
    assert len(ids) > 60 and ids <= set(IDS), sorted(ids - set(IDS))
    roles = {role for group in re.findall(r"data-role=([a-z|-]+)", comment) for role in group.split("|")}
    code = {role for role in roles if re.search(rf'(?:role: |part\(|, )"{role}"', CODE)}
    assert roles and roles == code, sorted(roles - code)


def test_buttons_say_what_they_do_and_submit_nothing_by_accident():
    for tag, attributes in ELEMENTS:
        assert tag != "button" or attributes.get("type") in ("button", "submit"), attributes


def test_the_page_is_in_the_package():
    tools = mock.Mock()
    tools.find_packages.return_value = []
    with mock.patch.dict(sys.modules, setuptools=tools):
        runpy.run_path(str(ROOT / "setup.py"))
    patterns = tools.setup.call_args.kwargs["package_data"]["fastsvc"]
    parts = [pattern.split("/") for pattern in patterns]
    for name in FILES:
        path = ["serve", "page", *name.split("/")]
        fits = [p for p in parts if len(p) == len(path) and all(map(fnmatch.fnmatchcase, path, p))]
        assert fits, name
