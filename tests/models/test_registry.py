"""A weight runs only if it is the one that the manifest names and somebody stated its licence."""

import msgspec
import pytest

from models import list_models
from models.errors import AlteredModelError, MissingModelError, UnknownRoleError, UnlicensedModelError
from models.registry import MAX_FILE_BYTES, OwnFile, cache_dir, cached, locate, manifest, parse, status
from tests.models.packages import GRAPH, WEIGHTS, digest, entry


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty cache; a function that puts both files of the entry there."""
    monkeypatch.setenv("ZHANGGUI_CACHE", str(tmp_path))

    def put(graph: bytes = GRAPH, weights: bytes = WEIGHTS) -> None:
        for member, data in zip(entry().member, (graph, weights), strict=True):
            cached(member).parent.mkdir(parents=True, exist_ok=True)
            cached(member).write_bytes(data)

    return put


def test_a_whole_weight_is_ready(place):
    place()
    found = status("net", entries={"net": entry()})
    assert (found.ok, found.state, found.reason, found.fix) == (True, "ready", "", "")
    assert [path.read_bytes() for path in found.files] == [GRAPH, WEIGHTS]
    assert found.package == "npm:@someone/net"


@pytest.mark.parametrize(
    ("graph", "weights", "changes", "state", "says"),
    [
        (None, WEIGHTS, {}, "missing", "net.json is missing"),  # a file is gone
        (GRAPH, None, {}, "missing", "net.bin is missing"),  # the other one
        (GRAPH, WEIGHTS[:-1], {}, "altered", "net.bin is altered"),  # torn
        (GRAPH, WEIGHTS[:-1] + b"x", {}, "altered", "net.bin is altered"),  # one byte, same length
        (GRAPH + b" ", WEIGHTS, {}, "altered", "net.json is altered"),  # longer
        (GRAPH, WEIGHTS, {"code_licence": ""}, "unlicensed", "licence of its code is not stated"),  # code
        (GRAPH, WEIGHTS, {"weights_licence": "  "}, "unlicensed", "licence of its weights is not stated"),  # blank
        (None, None, {"weights_licence": ""}, "unlicensed", "licence of its weights"),  # fetching would not help
    ],
)
def test_every_refusal_names_the_model_and_what_mends_it(  # noqa: PLR0917 - the columns of a table
    place, graph, weights, changes, state, says
):
    place(graph or b"", weights or b"")
    for data, member in ((graph, entry().member[0]), (weights, entry().member[1])):
        if data is None:
            cached(member).unlink()
    found = status("net", entries={"net": entry(**changes)})
    assert (found.ok, found.state, found.files) == (False, state, ())
    assert says in found.reason
    assert "'net'" in found.reason
    assert found.fix
    if state != "unlicensed":
        assert found.fix == "zhanggui models fetch net"


def test_a_weight_that_cannot_be_read_is_missing(place):
    place()
    cached(entry().member[0]).unlink()
    cached(entry().member[0]).mkdir()  # a folder in its place
    with pytest.raises((MissingModelError, AlteredModelError), match="net"):
        locate("net", entries={"net": entry()})


def test_an_unknown_role_is_named_with_those_that_exist():
    with pytest.raises(UnknownRoleError, match=r"'face'; there is: person"):
        locate("face")


@pytest.mark.parametrize(
    ("sha256", "licence", "error", "says"),
    [
        (digest(b"onnx"), "Apache-2.0", None, ""),  # the operator's own file
        (digest(b"other"), "Apache-2.0", AlteredModelError, "its sha256 differs"),  # not the file that was checked
        (digest(b"onnx"), " ", UnlicensedModelError, "no licence is stated"),  # nobody answers for it
        ("ABC", "MIT", AlteredModelError, "64 hex digits"),  # a sum that is no sum
    ],
)
def test_an_own_file_needs_its_sum_and_a_licence(tmp_path, sha256, licence, error, says):
    path = tmp_path / "own.onnx"
    path.write_bytes(b"onnx")
    own = OwnFile(path, sha256, licence)
    if error is None:
        assert locate("person", own=own) == (path,)
    else:
        with pytest.raises(error, match=says):
            locate("person", own=own)


def test_an_own_file_that_is_not_there_or_too_large(tmp_path):
    with pytest.raises(MissingModelError, match="mend its path"):
        locate("person", own=OwnFile(tmp_path / "none.onnx", digest(b""), "MIT"))
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(AlteredModelError, match="larger than"):
        locate("person", own=OwnFile(huge, digest(b""), "MIT"))


def test_the_shipped_manifest_states_every_licence_and_pins_numbers():
    for role, found in manifest().items():
        assert found.code_licence, role
        assert found.weights_licence, role
        assert found.probe, role
    assert {row.role for row in list_models()} == set(manifest())


@pytest.mark.parametrize(
    "wrong",
    [
        'sha256 = "xyz"',  # no sum
        "bytes = 0",  # no size
        'name = "../evil"',  # a name that npm would read as a path
        'version = "1.0 --registry=x"',  # a version that would be an option
        'source = "ftp"',  # a source that nobody knows
    ],
)
def test_a_manifest_with_a_wrong_value_is_not_read(wrong):
    package = {
        "source": 'source = "npm"',
        "name": 'name = "n"',
        "version": 'version = "1"',
        "sha256": f'sha256 = "{"0" * 64}"',
        "bytes": "bytes = 1",
    }
    head = '[x]\ntitle=""\nupstream=""\nformat="onnx"\ninput=""\nsize=1\nmean=[0.0,0.0,0.0]\nstd=[1.0,1.0,1.0]\nthreshold=0.5\nmember=[]\n[x.package]\n'
    assert parse(head + "\n".join(package.values()))  # the frame of this test is right
    package[wrong.partition(" ")[0]] = wrong
    with pytest.raises(msgspec.ValidationError):
        parse(head + "\n".join(package.values()))


@pytest.mark.parametrize(
    ("env", "tail"),
    [
        ({"ZHANGGUI_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),  # said outright
        ({"XDG_CACHE_HOME": "/b"}, "/b/zhanggui"),  # the desktop's rule
        ({"HOME": "/h"}, "/h/.cache/zhanggui"),  # the rule's default
    ],
)
def test_where_the_cache_is(monkeypatch, env, tail):
    for name in ("ZHANGGUI_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert str(cache_dir()) == tail
