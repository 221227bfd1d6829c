from __future__ import annotations

import pytest

from pybuilder.errors import ConfigError
from pybuilder.requirements_file import Include, Stated, parse_requirements

A, B = "a" * 64, "b" * 64
FILE = "requirements.txt"


def told(text: str, *, constraints: bool = False) -> list[str]:
    """What a file says, a line each: place, requirement and hashes, or place, option and file."""
    shown = []
    for line in parse_requirements(text, FILE, constraints=constraints).lines:
        place = line.place.removeprefix(f"{FILE}:")
        if isinstance(line, Include):
            shown.append(f"{place} {'-c' if line.constraints else '-r'} {line.file}")
        else:
            shown.append(" ".join([place, str(line.requirement), *(digest[:2] for digest in line.hashes)]))
    return shown


def refused(text: str, *, constraints: bool = False) -> list[ConfigError]:
    with pytest.raises(ConfigError) as caught:
        parse_requirements(text, FILE, constraints=constraints)
    return list(caught.value.parts or [caught.value])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n  \n# nothing\n\t# here\n", []),
        ("six\nidna>=3,<4\n", ["1 six", "2 idna<4,>=3"]),
        ("six # why\nidna\t# why not\n", ["1 six", "2 idna"]),
        ("requests[socks, security] == 2.32.3", ["1 requests[security,socks]==2.32.3"]),
        ('tomli; python_version < "3.11"', ['1 tomli; python_version < "3.11"']),
        ("\ufeffsix\r\nidna\r\n", ["1 six", "2 idna"]),
        ("six\\\n>=1\nidna", ["1 six>=1", "3 idna"]),
        ("six>=1 \\\r\n\\\r\n, <2\r\nidna", ["1 six<2,>=1", "4 idna"]),
        ("six \\\n# a comment ends it\nidna", ["1 six", "3 idna"]),
        ("six \\\n# also this one \\\nidna", ["1 six", "3 idna"]),
        ("six \\", ["1 six"]),
        ("# not continued \\\nsix", ["2 six"]),
        (f"six==1 --hash=sha256:{A}", ["1 six==1 aa"]),
        (f"six==1 \\\n    --hash=sha256:{A} \\\n    --hash sha256:{B}\nidna", ["1 six==1 aa bb", "4 idna"]),
        (f"six --hash=sha256:{A.upper()} --hash='sha256:{A}'", ["1 six aa"]),
        (f'six; sys_platform == "linux" --hash=sha256:{A}', ['1 six; sys_platform == "linux" aa']),
        ("six\n-r b.txt\nidna\n-c c.txt", ["1 six", "2 -r b.txt", "3 idna", "4 -c c.txt"]),
        ("-rb.txt\n--requirement=b.txt\n--requirement b.txt\n--constraint ../c.txt",
         ["1 -r b.txt", "2 -r b.txt", "3 -r b.txt", "4 -c ../c.txt"]),
        ("-r 'with space.txt' -c c.txt", ["1 -r with space.txt", "1 -c c.txt"]),
        ("--no-binary :all:\n--no-binary=six\nsix", ["3 six"]),
    ],
)  # fmt: skip
def test_what_is_taken(text: str, expected: list[str]) -> None:
    assert told(text) == expected


def test_digests_and_places_are_whole() -> None:
    (stated,) = parse_requirements(f"six --hash=sha256:{A}", "sub/r.txt").lines
    assert isinstance(stated, Stated)
    assert (stated.hashes, stated.place) == ((A,), "sub/r.txt:1")


@pytest.mark.parametrize(
    ("line", "what", "cure"),
    [
        ("https://example.org/six.tar.gz", "this is a URL", '[source] of type "git" or "url"'),
        ("git+https://example.org/six#egg=six", "this is a URL", '"git", its url and its tag or commit'),
        ("file:six.tar.gz", "this is a URL", '"git" or "url"'),
        ("six @ https://example.org/six.tar.gz", "six is required by URL", "leave the URL out"),
        ("six[a]@git+ssh://git@example.org/six ; python_version>'3'", "six is required by URL", "leave the URL out"),
        ("./six", "this is a path", '[source] of type "path"'),
        (".", "this is a path", '"path"'),
        ("..[extra]", "this is a path", '"path"'),
        ("/srv/six", "this is a path", '"path"'),
        ("~/six", "this is a path", '"path"'),
        ("vendored/six", "this is a path", '"path"'),
        (r"vendored\six", "this is a path", '"path"'),
        ("six-1.0-py3-none-any.whl", "this is a path", '"path"'),
        ("six-1.0.tar.gz[extra]", "this is a path", '"path"'),
        ("-e .", "--editable asks for an editable installation", '"path"'),
        ("-e ./git+six", "--editable asks for an editable installation", '"path"'),
        ("--editable=git+https://example.org/six", "--editable asks for", '"git", its url and its tag or commit'),
        ("-e 'six[a] @ git+ssh://git@example.org/six@v1'", "--editable asks for", '[source] of type "git", its url'),
        ("-e hg+https://example.org/six", "--editable asks for", '"git" or "url"'),
        ("-e", "--editable has no value", "write one behind it"),
        ("-i https://example.org/simple", "--index-url chooses where packages come from", "`index` in pybuild.toml"),
        ("--extra-index-url=https://x/", "--extra-index-url chooses", "`index` in pybuild.toml"),
        ("--find-links wheels", "--find-links chooses", "`index` in pybuild.toml"),
        ("-fwheels", "--find-links chooses", "`index` in pybuild.toml"),
        ("--no-index", "--no-index chooses", "`index` in pybuild.toml"),
        ("--trusted-host example.org", "--trusted-host chooses", "`index` in pybuild.toml"),
        ("--pre", "--pre asks for prereleases of everything", "prereleases = true"),
        ("--only-binary :all:", "--only-binary asks for upstream's wheels", "built from source"),
        ("--prefer-binary", "--prefer-binary asks for upstream's wheels", "built from source"),
        ("--require-hashes", "--require-hashes is about all that is installed", "bootstrap --locked"),
        ("--use-feature fast-deps", "--use-feature is about pip itself", "leave it out"),
        ("six --global-option=x", "--global-option hands settings to a backend", "config-settings"),
        ("six --config-settings a=b", "--config-settings hands settings", "config-settings"),
        ("--requirment x.txt", "unknown option '--requirment'; did you mean '--requirement'?", "correct the option"),
        ("--frobnicate", "unknown option '--frobnicate'; known here: --constraint, --hash", "correct the option"),
        ("-x", "unknown option '-x'", "correct the option"),
        ("six -r other.txt", "--requirement stands behind a requirement", "line of its own"),
        ("-r", "--requirement has no value", "write one behind it"),
        ("--constraint=", "--constraint has no value", "write one behind it"),
        ("-r a.txt six", "'six' belongs to no option", "line of its own"),
        ("-r 'a.txt", "the options can't be told apart: no closing quotation", "close the quotation"),
        ("-r https://example.org/r.txt", "a file at a URL may be another one tomorrow", "download it"),
        ("-r a\x00b", r"'a\x00b' names no file", "correct the path"),
        (f"--hash=sha256:{A}", "--hash belongs to no requirement", "behind one"),
        ("six --hash=md5:abc", "known by their sha256, not by 'md5'", "pip hash"),
        ("six --hash=sha1:abc", "known by their sha256, not by 'sha1'", "pip hash"),
        ("six --hash=sha512:abc", "known by their sha256, not by 'sha512'", "pip hash"),
        ("six --hash=sha256:abc", "'abc' is no sha256", "64 hexadecimal digits"),
        (f"six --hash={A}", "not by", "pip hash"),
        ("six --hash", "--hash has no value", "write one behind it"),
        ("six==${VERSION}", "the variable ${VERSION} would make this file mean something else", "what it stands for"),
        ("six=>1", "'six=>1' is no requirement (PEP 508): expected", "correct this line"),
        ("six=>1", "at its character 4", "correct this line"),
        ("six 1.0", "at its character 5", "correct this line"),
        ("six; python_versio < '3'", "at its character 6", "correct this line"),
        ("==1", "at its character 1", "correct this line"),
        ("six#no comment", "at its character 4", "correct this line"),
        ("six$HOME", "at its character 4", "correct this line"),
        ("[project]", "at its character 1", "correct this line"),
    ],
)  # fmt: skip
def test_what_is_refused(line: str, what: str, cure: str) -> None:
    (problem,) = refused(f"idna\n{line}\n")
    assert what in problem.what
    assert cure in problem.cure
    assert problem.where == f"{FILE}:2"


def test_all_is_told_at_once() -> None:
    text = f"six=>1\nidna\n-i https://x/ --pre\n\na --hash=md5:1 --hash=sha256:{A} \\\n  --hash=sha1:2\n-i ${{INDEX}}\n"
    problems = refused(text)
    assert [problem.where for problem in problems] == [f"{FILE}:{n}" for n in (1, 3, 3, 5, 5, 7, 7)]
    with pytest.raises(ConfigError) as caught:
        parse_requirements(text, FILE)
    assert caught.value.what == f"{FILE} has 7 problems"
    assert f"{FILE}:3: --pre asks for prereleases of everything; name a prerelease" in caught.value.where


@pytest.mark.parametrize(
    "line",
    [
        *("six @ https://u:secret@x/", "https://u:secret@x/", "-i https://u:secret@x/", "-r https://u:secret@x/"),
        "-e git+https://u:secret@x/",
    ],
)
def test_no_password_gets_into_a_message(line: str) -> None:
    (problem,) = refused(line)
    assert "secret" not in str(problem)


class TestConstraints:
    def test_what_is_taken(self) -> None:
        text = f"six<2\nidna\n-c more.txt\nattrs==1 --hash=sha256:{A}\n"
        assert told(text, constraints=True) == ["1 six<2", "2 idna", "3 -c more.txt", "4 attrs==1 aa"]

    @pytest.mark.parametrize(
        ("line", "what"),
        [
            ("requests[socks, b]<3", "a constraint has no extras, here b, socks"),
            ("six @ https://x/six.tar.gz", "six is required by URL"),
            ("https://x/six.tar.gz", "this is a URL"),
            ("-e .", "--editable"),
            ("-r more.txt", "a constraints file requires nothing"),
        ],
    )
    def test_what_is_refused(self, line: str, what: str) -> None:
        (problem,) = refused(line, constraints=True)
        assert what in problem.what
