"""Specs: what is read, what is refused and where, what overrides make of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from packaging.version import Version

from pybuilder.errors import ConfigError
from pybuilder.fields import Table
from pybuilder.settings import Settings
from pybuilder.spec import Build, EffectiveSpec, Spec, parse_spec, schema

SHA = "0123456789abcdef" * 4

FULL = f"""\
name = "lxml"
[source]
type = "git"
url = "https://example.org/{{name}}.git"
tag = "{{name}}-{{version}}"
submodules = true
subdirectory = "python"
[[patches]]
file = "0001-use-system-libs.patch"
versions = ">=5,<6"
[system]
build = ["gcc", "pkgconfig(libxml-2.0) >= 2.9", "/usr/bin/cmake"]
runtime = ["libxml2"]
[build]
add-requires = ["Cython>=3"]
remove-requires = ["CMake", "ninja"]
env = {{ STATIC_DEPS = "true", CFLAGS = "-O2" }}
config-settings = {{ a = "b", c = ["d", "e"] }}
vendor = "cargo"
limits = {{ cpus = 3, memory = "512M", timeout = "2h", exclusive = true }}
[metadata]
requires-dist = ["six"]
[test]
imports = ["lxml.etree"]
commands = ["python -c 'import lxml'"]
[update]
source = "github"
id = "lxml/lxml"
tag-prefix = "lxml-"
transform = "s/_/./"
allow = ">=5,<6"
series = ["5.3.*", "5.4.*"]
ignore = ["5.3.1", "<5.0.2"]
prereleases = true
cooldown = "3d"
mode = "off"
reason = "dead upstream"
rebuild-dependents = true
[prebuilt]
reason = "needs a compiler that is not free"
[[override]]
when = {{ versions = "<5.2", buildroot = "fedora-*" }}
build.env = {{ STATIC_DEPS = "false" }}
[[override]]
when = {{ python = ">=3.12", variant = "debug" }}
system.build = []
[versions]
"5.4.0" = {{ file = "lxml-5.4.0.tar.gz", sha256 = "{SHA}" }}
"5.3" = {{ commit = "{SHA[:40]}", vendor = "{SHA}" }}
"""


def spec(text: str, name: str = "x") -> Spec:
    return parse_spec(f'name = "{name}"\n{text}', f"specs/{name}.toml")


def refused(text: str, name: str = "x") -> str:
    with pytest.raises(ConfigError) as caught:
        spec(text, name)
    assert caught.value.exit_code == 3
    return str(caught.value)


def effective(
    read: Spec, version: str = "1", buildroot: str = "host", python: str = "3.11", variant: str = ""
) -> EffectiveSpec:
    return read.effective(version=Version(version), buildroot=buildroot, python=python, variant=variant)


def test_an_empty_spec_has_the_contracts_defaults() -> None:
    read = spec("")
    assert read.source.type == "sdist"
    assert read.patches is None
    assert read.build.limits.memory == 4 << 30
    assert read.build.limits.timeout == timedelta(minutes=30)
    assert read.update.mode == "auto"
    assert read.update.cooldown is None
    assert read.prebuilt is None


@pytest.mark.parametrize("model", [EffectiveSpec, Build, Settings])
def test_a_table_that_is_left_out_is_as_an_empty_one(model: type[Table]) -> None:
    tables = {name: field for name, field in model.model_fields.items() if field.default_factory}
    assert tables
    for field in tables.values():
        assert field.annotation
        assert field.get_default(call_default_factory=True) == field.annotation.model_validate({})


def test_no_plugin_has_a_say_in_how_files_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_for(**_: str) -> None:
        raise AssertionError("plugins were looked for")

    class Own(Table):
        key: int

    monkeypatch.setattr("pydantic.plugin._loader._plugins", None)
    monkeypatch.setattr("pydantic.plugin._loader.entry_points", looked_for)
    assert Own.model_validate({"key": 1}).key == 1


def test_every_key_of_the_contract_is_read() -> None:
    read = parse_spec(FULL, "specs/lxml.toml")
    assert read.patches is not None and read.patches[0].versions.contains("5.1")
    assert read.system.build[1] == "pkgconfig(libxml-2.0) >= 2.9"
    assert [str(r) for r in read.build.add_requires] == ["Cython>=3"]
    assert read.build.remove_requires == ("cmake", "ninja")
    assert read.build.config_settings == {"a": "b", "c": ("d", "e")}
    assert read.build.limits.memory == 512 << 20
    assert read.build.limits.timeout == timedelta(hours=2)
    assert read.update.cooldown == timedelta(days=3)
    assert [str(s) for s in read.update.ignore] == ["==5.3.1", "<5.0.2"]
    assert read.override[1].when.variant == "debug"


def test_a_pin_is_found_however_its_version_is_spelled() -> None:
    read = parse_spec(FULL, "specs/lxml.toml")
    pin = read.pin(Version("5.4"))
    assert pin is not None and pin.sha256 == SHA
    assert read.pin(Version("5.5")) is None


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("bulid = {}", "2:1 [bulid]", "did you mean 'build'?"),
        ("[build]\nadd-require = []", "3:1 [build].add-require", "did you mean 'add-requires'?"),
        ("[build]\nadd_requires = []", "3:1 [build].add_requires", "did you mean 'add-requires'?"),
        ("[build]\nlimits = {cpu = 1}", "3:11 [build].limits.cpu", "did you mean 'cpus'?"),
        ("[versions]\n'1' = {fil = 'a', sha256 = 'b'}", "3:8 [versions].1.fil", "did you mean 'file'?"),
        ("[[override]]\nwhen = {version = '1'}", "3:9 [[override]][0].when.version", "did you mean 'versions'?"),
        ("[[override]]\nwhen.variant = 'a'\nname = 'y'", "4:1 [[override]][0].name", "unknown key 'name'"),
        ("[[override]]\nwhen.variant = 'a'\n[override.versions]", "4:1 [[override]][0].versions", "unknown key"),
        ("[[override]]\nbuild = {}", "2:1 [[override]][0].when", "the key 'when' is missing"),
        ("[[override]]\nwhen = {}", "3:1 [[override]][0].when", "needs one of the keys"),
        ("[[override]]\nwhen.python = 'three'", "3:6 [[override]][0].when.python", "is no Python"),
        ("system = []", "2:1 system", "expected a table, found an array"),
        ("[system]\nbuild = 'gcc'", "3:1 [system].build", "expected an array, found the string 'gcc'"),
        ("[system]\nbuild = ['gcc', 3]", "3:17 [system].build[1]", "expected a string, found the integer 3"),
        ("[system]\nbuild = ['--nogpgcheck']", "3:10 [system].build[0]", "is no RPM"),
        ("[build.limits]\ncpus = -1", "3:1 [build.limits].cpus", "greater than or equal to 0"),
        ("[build.limits]\ncpus = true", "3:1", "expected an integer, found true"),
        ("[build.limits]\nexclusive = 1", "3:1", "expected true or false, found the integer 1"),
        ("[build.limits]\ntimeout = 30", "3:1", "expected a duration such as '30m', found the integer 30"),
        ("[build.limits]\ntimeout = 1979-05-27", "3:1", "found the date or time 1979-05-27"),
        ("[build.limits]\ntimeout = '0m'", "3:1", "needs some time"),
        ("[build.limits]\ntimeout = '3 days'", "3:1", "'3 days' is no duration"),
        ("[build.limits]\nmemory = '4GB'", "3:1", "'4GB' is no size"),
        ("[build.limits]\nmemory = '2000000T'", "3:1", "'2000000T' is more than any machine has"),
        ("[build]\nadd-requires = ['a b']", "3:17 [build].add-requires[0]", "is no requirement (PEP 508)"),
        ("[build]\nadd-requires = ['a @ https://e.org/a.whl']", "3:17", "names a URL"),
        ("[build]\nremove-requires = ['cmake>=3']", "3:20", "write the name alone"),
        ("[build]\nvendor = 'crago'", "3:1", "expected '' or 'cargo'"),
        ("[build]\nconfig-settings = {a = 1}", "3:20", "a string or an array of strings, found the integer 1"),
        ("[build]\nenv = {PATH = '/x'}", "3:8 [build].env.PATH", "PATH is pybuild's own"),
        ("[build]\nenv = {LC_ALL = 'C'}", "3:8 [build].env.LC_ALL", "pybuild's own"),
        ("[build]\nenv = {'A B' = 'C'}", "3:8", "is no name of a variable"),
        ("[build]\nenv = {A = 1}", "3:8 [build].env.A", "expected a string, found the integer 1"),
        ("[[patches]]\nfile = '../x.patch'", "3:1 [[patches]][0].file", "'../x.patch' must be a plain relative path"),
        ("[[patches]]\nfile = '/etc/passwd'", "3:1", "plain relative path"),
        ("[[patches]]\nfile = 'a/../../x.patch'", "3:1", "plain relative path"),
        ("[[patches]]\nfile = ''", "3:1", "plain relative path"),
        ("[[patches]]\nversions = '<1'", "2:1 [[patches]][0].file", "the key 'file' is missing"),
        ("[[patches]]\nfile = 'a'\nversions = '5.x'", "4:1", "'5.x' is no version range"),
        ("[source]\ntype = 'sdits'", "3:1 [source].type", "expected 'sdist', 'git', 'url' or 'path'"),
        ("[source]\ntype = 'git'\ntag = 'v1'", "2:1 [source]", "needs the key 'url'"),
        ("[source]\ntype = 'git'\nurl = 'https://e.org/x'", "2:1 [source]", "needs one of the keys 'tag' and 'commit'"),
        ("[source]\ntype = 'git'\nurl = 'ext::sh -c x'\ntag = 'a'", "4:1 [source].url", "is no URL"),
        ("[source]\ntype = 'git'\nurl = 'https://e.org/x'\ntag = '--upload-pack=x'", "5:1", "is no name of a tag"),
        ("[source]\ntype = 'git'\nurl = 'https://e.org/x'\ncommit = 'abc'", "5:1", "is no commit"),
        ("[source]\nurl = 'https://e.org/x'", "2:1 [source]", "url mean nothing for a source of type 'sdist'"),
        ("[source]\ntype = 'url'\nurl = 'https://e.org/{vers}'", "4:1", "templates know {name} and {version}"),
        ("[source]\ntype = 'url'\nurl = 'https://e.org/{name.__class__}'", "4:1", "templates know"),
        ("[source]\ntype = 'url'\nurl = 'https://e.org/{'", "4:1", "is no template"),
        ("[source]\ntype = 'path'\npath = '../x'", "4:1", "plain relative path"),
        ("[source]\ntype = 'path'", "2:1 [source]", "needs the key 'path'"),
        ("[test]\nimports = ['os; x']", "3:12", "is no module"),
        ("[test]\ncommands = ['']", "3:13", "is no command"),
        ("[update]\nmode = 'off'", "2:1 [update]", "needs the key 'reason'"),
        ("[update]\ninclude = '('", "3:1", "is no regular expression"),
        ("[update]\ntransform = 'y/a/b/'", "3:1", "is no substitution"),
        ("[update]\nseries = ['5.3']", "3:11", "write it as '5.3.*'"),
        ("[update]\nignore = ['x']", "3:11", "is no version range"),
        ("[prebuilt]\nreason = ' '", "3:1", "a reason is needed"),
        ("[prebuilt]", "2:1 [prebuilt].reason", "the key 'reason' is missing"),
        ("[versions]\n'1.x' = {file = 'a', sha256 = 'SHA'}", "3:1", "'1.x' is no version"),
        ("[versions]\n'1' = {file = 'a', sha256 = 'abc'}", "3:20 [versions].1.sha256", "is no sha256"),
        ("[versions]\n'1' = {file = '../a', sha256 = 'SHA'}", "3:8", "plain relative path"),
        ("[versions]\n'1' = {file = 'a'}", "3:1", "needs the key 'sha256'"),
        ("[versions]\n'1' = {sha256 = 'SHA'}", "3:1", "needs the key 'file'"),
        ("[versions]\n'1' = {file = 'a-1.whl', sha256 = 'SHA'}", "3:1", "'a-1.whl' is no wheel's file name"),
        ("[versions]\n'1' = {commit = 'SHA'}\n'1.0' = {commit = 'SHA'}", "2:1", "the same version"),
    ],
)
def test_bad_keys_and_values_are_refused_with_their_place(text: str, place: str, words: str) -> None:
    message = refused(text.replace("'SHA'", f"'{SHA}'"))
    # A header's own keys are shown with the dots of the path, so [build.limits] reads [build].limits.
    assert f"specs/x.toml:{place.replace('[build.limits]', '[build].limits')}" in message
    assert words in message


def test_everything_wrong_is_said_at_once() -> None:
    message = refused("bulid = 1\n[source]\ntype = 'x'\n[[override]]\nwhen.variant = 'a'\nbuild.vendor = 1", name="y-z")
    assert "3 problems" in message
    for place in ("2:1 bulid", "4:1 [source].type", "7:7 [[override]][0].build.vendor"):
        assert f"specs/y-z.toml:{place}" in message


@pytest.mark.parametrize(
    ("text", "file", "words"),
    [
        ('name = "six"', "specs/sixx.toml", "the name 'six' must be the file's, which is 'sixx'"),
        ('name = "Six"', "specs/Six.toml", "must be written as 'six'"),
        ('name = "a/b"', "specs/b.toml", "is no package name"),
        ("", "specs/six.toml", "the key 'name' is missing"),
        ("name = 3", "specs/six.toml", "expected the package's name, found the integer 3"),
        ("name = ", "specs/six.toml", "no TOML"),
    ],
)
def test_the_name_must_be_the_normalised_one_of_the_file(text: str, file: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_spec(text, file)
    assert words in str(caught.value)
    assert f"{file}:1:" in str(caught.value)


def test_overrides_merge_key_by_key_and_the_last_wins() -> None:
    read = spec(
        """
[build]
env = { A = "1", B = "1" }
add-requires = ["one"]
limits.cpus = 4
[[override]]
when.versions = "<2"
build.env = { B = "2", C = "2" }
build.add-requires = ["two"]
[[override]]
when.buildroot = "fedora-*"
build.env.C = "3"
build.limits.memory = "1G"
"""
    )
    assert effective(read, "3").build.env == {"A": "1", "B": "1"}
    assert effective(read, "1").build.env == {"A": "1", "B": "2", "C": "2"}
    both = effective(read, "1", "fedora-45").build
    assert both.env == {"A": "1", "B": "2", "C": "3"}
    assert [str(r) for r in both.add_requires] == ["two"]
    assert (both.limits.cpus, both.limits.memory) == (4, 1 << 30)
    assert effective(read, "3", "fedora-45").build.env == {"A": "1", "B": "1", "C": "3"}


def test_what_no_override_changes_is_the_spec_as_it_was_read() -> None:
    full = parse_spec(FULL, "specs/lxml.toml")
    written = {key: value for key, value in full.document.data.items() if key not in ("override", "versions")}
    again = EffectiveSpec.model_validate(written)
    read = effective(full, "99", "no-such-buildroot", "3.11")
    assert (read, read.model_fields_set) == (again, again.model_fields_set)
    assert type(read) is EffectiveSpec
    assert set(written) == read.model_fields_set
    plain = effective(spec(""), "1", "", "3.11")
    assert plain.model_fields_set == {"name"} and "limits" not in plain.build.model_fields_set


def test_a_text_that_was_read_lately_is_not_read_again() -> None:
    read = parse_spec(FULL, "specs/lxml.toml")
    assert parse_spec(FULL, "specs/lxml.toml") is read
    with pytest.raises(ConfigError, match="must be the file's"):
        parse_spec(FULL, "specs/six.toml")


@pytest.mark.parametrize(
    ("when", "matching", "others"),
    [
        ("versions = '<2'", {"version": "1.9rc1"}, {"version": "2.0"}),
        ("versions = '>=1'", {"version": "2.0rc1"}, {"version": "0.9"}),
        ("buildroot = 'fedora-4?'", {"buildroot": "fedora-45"}, {"buildroot": "fedora-rawhide"}),
        ("python = '3.1'", {"python": "3.1"}, {"python": "3.11"}),
        ("python = '3.*'", {"python": "3.14"}, {"python": "4.0"}),
        ("python = '>=3.9'", {"python": "3.14"}, {"python": "3.8"}),
        ("variant = 'debug'", {"variant": "debug"}, {"variant": ""}),
        ("variant = 'debug'\nwhen.python = '3.12'", {"variant": "debug", "python": "3.12"}, {"python": "3.12"}),
    ],
)
def test_when(when: str, matching: dict[str, str], others: dict[str, str]) -> None:
    read = spec(f"[[override]]\nwhen.{when}\ntest.imports = ['a']\n")
    assert effective(read, **matching).test.imports == ("a",)
    assert effective(read, **others).test.imports == ()


def test_an_override_may_change_the_type_of_the_source() -> None:
    read = spec(
        """
[source]
type = "git"
url = "https://example.org/x.git"
tag = "v{version}"
subdirectory = "py"
[[override]]
when.versions = "<2"
source.type = "sdist"
"""
    )
    assert effective(read, "2").source.tag == "v{version}"
    old = effective(read, "1").source
    assert (old.type, old.url, old.subdirectory) == ("sdist", "", "py")


def test_an_override_whose_result_is_wrong_is_refused_when_the_spec_is_read() -> None:
    message = refused("[[override]]\nwhen.versions = '<2'\nsource.tag = 'x'\n")
    assert "specs/x.toml:4:1 [[override]][0].source" in message
    assert "tag mean nothing for a source of type 'sdist'" in message


def test_an_override_may_rest_on_one_before_it() -> None:
    read = spec(
        """
[[override]]
when.versions = "<3"
source = { type = "git", url = "https://example.org/x.git", tag = "v{version}" }
[[override]]
when.versions = "<2"
source.tag = "{version}"
"""
    )
    assert effective(read, "1").source.tag == "{version}"


def test_overrides_that_contradict_each_other_for_a_target_are_reported_when_they_meet() -> None:
    commit = SHA[:40]
    read = spec(
        f"""
[[override]]
when.versions = "<3"
source = {{ type = "git", url = "https://example.org/x.git", commit = "{commit}" }}
[[override]]
when.versions = "<2"
source = {{ type = "git", url = "https://example.org/x.git", tag = "a" }}
"""
    )
    with pytest.raises(ConfigError) as caught:
        effective(read, "1")
    assert "specs/x.toml:8:1 [[override]][1].source" in str(caught.value)


def test_no_patches_is_another_thing_than_the_default() -> None:
    read = spec("[[override]]\nwhen.versions = '<2'\npatches = []\n")
    assert effective(read, "1").patches == ()
    assert effective(read, "2").patches is None


def test_the_schema_knows_every_key_by_the_name_people_write() -> None:
    made = schema()
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["additionalProperties"] is False
    assert set(made["properties"]) >= {"name", "source", "patches", "system", "build", "override", "versions"}
    build = made["$defs"]["Build"]["properties"]
    assert build["add-requires"]["items"] == {"type": "string"}
    assert all("description" in key or "$ref" in key for key in build.values())
    assert made["$defs"]["Limits"]["properties"]["memory"]["type"] == "string"


def test_pins_of_files_that_the_index_has() -> None:
    spec = parse_spec(
        f'''
name = "six"
[[override]]
when = {{ versions = "<1.1" }}
source = {{ type = "url", url = "https://127.0.0.1/six-{{version}}.tar.gz" }}
[[override]]
when = {{ versions = ">=1.4" }}
source.subdirectory = "python"
[versions]
"1.0" = {{ file = "six-1.0.tar.gz", sha256 = "{"a" * 64}" }}
"1.1" = {{ file = "six-1.1.tar.gz", sha256 = "{"a" * 64}" }}
"1.2" = {{ file = "six-1.2.tar.gz", sha256 = "{"a" * 64}", url = "https://127.0.0.1/six-1.2.tar.gz" }}
"1.3" = {{ commit = "{"a" * 40}" }}
"1.4" = {{ file = "six-1.4.tar.gz", sha256 = "{"a" * 64}" }}
''',
        "specs/six.toml",
    )
    assert list(map(str, spec.index_pins)) == ["1.1", "1.4"]
    elsewhere = f'''
name = "six"
source = {{ type = "url", url = "https://127.0.0.1/six-{{version}}.tar.gz" }}
[versions]
"1.0" = {{ file = "six-1.0.tar.gz", sha256 = "{"a" * 64}" }}
"1.1" = {{ file = "six-1.1-py3-none-any.whl", sha256 = "{"a" * 64}" }}
'''
    assert list(map(str, parse_spec(elsewhere, "specs/six.toml").index_pins)) == ["1.1"]
