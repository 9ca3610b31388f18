"""Secrets: what is taken for one, that none lands in a run, and that a run with masks goes on."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

import runbundle as rb
from runbundle import errors
from runbundle.run.settings.config import take_config
from runbundle.run.settings.secrets import is_secret_key, mask_command, mask_text, shown
from sample_runs import LOG, codes, project

SECRET = "hunter2-of-the-demo"  # noqa: S105 - of nobody
ITS_URL = "postgres://me:s3cr3t-in-url@host:5432/db"


def holds(run_dir: Path, *secrets: str) -> list[str]:
    """The files of a run that hold a secret."""
    found = {place: place.read_bytes() for place in run_dir.rglob("*") if place.is_file()}
    return [place.name for place, data in found.items() for secret in secrets if secret.encode() in data]


# --- what is a secret -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        *("password", "db_password", "dbPassword", "DB-PASSWORD", "passwd", "pwd", "token", "hf_token", "HFToken"),
        *("secret", "client.secret", "clientSecret", "api_key", "apiKey", "API-KEY", "apikey", "x-api-key"),
        *("OPENAI_API_KEY", "aws_secret_access_key", "accessKeyId", "private_key", "credentials", "Authorization"),
        *("passphrase", "access_tokens"),
    ],
)
def test_a_key_says_that_its_text_is_a_secret_by_whole_words(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    [
        *("tokenizer", "tokens", "max_tokens", "maxTokens", "num_token", "secretary", "compass", "passwordless"),
        *("key", "monkey", "keyboard", "api", "eos_token", "padToken", "accessible", "primary_key", ""),
    ],
)
def test_a_key_that_only_looks_like_one_does_not(key: str) -> None:
    assert not is_secret_key(key)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (ITS_URL, "postgres://me:<secret:url>@host:5432/db"),
        ("see https://ghp_abcdef@github.com/x, please", "see https://<secret:url>@github.com/x, please"),
        ("https://h/x?a=1&api_key=abc#token=def", "https://h/x?a=1&api_key=<secret:url>#token=<secret:url>"),
        ("redis://:pw@h and s3://u:p@b", "redis://:<secret:url>@h and s3://u:<secret:url>@b"),
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer <secret:url>"),
        ("ssh://git@host/x", "ssh://git@host/x"),
        ("https://h/x?X-Amz-Signature=ab1&sig=cd2", "https://h/x?X-Amz-Signature=<secret:url>&sig=<secret:url>"),
        ("login(password='abcdefgh', user='me')", "login(password='<secret:password>', user='me')"),
        ("os.environ['API_TOKEN'] = \"abcd-efgh\"", "os.environ['API_TOKEN'] = \"<secret:API_TOKEN>\""),
        ('{"db": {"password": "a \\"b\\" c"}}', '{"db": {"password": "<secret:password>"}}'),
        ("['tool', '--token', 'abc', '-v'] failed", "['tool', '--token', '<secret:token>', '-v'] failed"),
        ("tool --api-key=abc --token abc -v", "tool --api-key=<secret:api-key> --token <secret:token> -v"),
        ("export HF_TOKEN=abc; PASSWORD=abc x", "export HF_TOKEN=<secret:HF_TOKEN>; PASSWORD=<secret:PASSWORD> x"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----<secret:url>-----END RSA PRIVATE KEY-----",
        ),
        ("the next token: 'cat', eos_token=\"</s></s>\", token = self.tokens[0], MAX_TOKENS=100 --max-token 100",) * 2,
        ("a@b.c, x://host/@v1, Basic ideas, 1+1=2", "a@b.c, x://host/@v1, Basic ideas, 1+1=2"),
    ],
)
def test_credentials_of_urls_and_headers_are_masked_in_any_text(text: str, left: str) -> None:
    assert mask_text(text) == left
    assert mask_text(left) == left


@pytest.mark.parametrize(
    ("command", "left", "masked"),
    [
        ("x --token abc --lr 1", "x --token <secret:token> --lr 1", ("token",)),
        ("x --env=PASSWORD=abc", "x --env=PASSWORD=<secret:PASSWORD>", ("command",)),
        ("x Authorization:abc", "x Authorization:<secret:Authorization>", ("Authorization",)),
        ("x -c login(password='abcdefgh')", "x -c login(password='<secret:password>')", ("command",)),
        ("x --api-key=abc", "x --api-key=<secret:api-key>", ("api-key",)),
        ("x password=abc ++db.token=d", "x password=<secret:password> ++db.token=<secret:db.token>",
         ("db.token", "password")),
        ("x db={host:h,password:abc}", "x db={host:h,password:<secret:password>}", ("password",)),
        ("x --token --verbose", "x --token --verbose", ()),
        ("x --max-token 100 token=5 pwd=${oc.env:PW} pwd=", "x --max-token 100 token=5 pwd=${oc.env:PW} pwd=", ()),
        (f"x {ITS_URL}", "x postgres://me:<secret:url>@host:5432/db", ("command",)),
    ],
)  # fmt: skip
def test_options_of_the_command_line_are_masked_by_their_names(
    command: str, left: str, masked: tuple[str, ...]
) -> None:
    assert mask_command(command.split(" ")) == (left.split(" "), masked)


def test_headers_and_json_among_the_arguments_are_masked() -> None:
    words, masked = mask_command(["curl", "-H", "X-Api-Key: abc", '{"token": "a b", "n": 1}'])
    assert words == ["curl", "-H", "X-Api-Key: <secret:X-Api-Key>", '{"token": "<secret:token>", "n": 1}']
    assert masked == ("X-Api-Key", "token")


# --- configurations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "seen", "masked"),
    [
        ({"db": {"password": "abc"}}, {"db": {"password": "<secret:db.password>"}}, ("db.password",)),
        ({"token": 5, "secret": None, "pwd": True, "api_key": ""},) * 2 + ((),),
        ({"secrets": ["a", {"x": "b"}]}, {"secrets": ["<secret:secrets>", {"x": "<secret:secrets.x>"}]},
         ("secrets", "secrets.x")),
        ({"url": "x://u:longpass@h"}, {"url": "x://u:<secret:url>@h"}, ("url",)),
        ({"password": "longpass", "note": "longpass1"}, {"password": "<secret:password>",
         "note": "<secret:password>1"}, ("note", "password")),
        ({"password": "test", "note": "the latest test"}, {"password": "<secret:password>",
         "note": "the latest <secret:password>"}, ("note", "password")),
        ({"password": "<secret:password>"}, {"password": "<secret:password>"}, ("password",)),
        ({"password": "<secret:x> and more"}, {"password": "<secret:password>"}, ("password",)),
    ],
)  # fmt: skip
def test_what_is_seen_of_a_configuration(config: Any, seen: Any, masked: tuple[str, ...]) -> None:
    found = shown(take_config(config))
    assert (found.composed, found.resolved, found.masked) == (seen, seen, masked)


def test_a_reference_to_a_secret_stays_in_the_composed_file_and_what_it_gives_is_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RB_TEST_SECRET", SECRET)
    config = {"token": "${oc.env:RB_TEST_SECRET}", "url": "x://h/${token}", "pwd": "${oc.env:NOT_SET,default-pw}"}
    found = shown(take_config(config))
    assert found.composed == {**config, "pwd": "<secret:pwd>"}
    assert found.resolved == {"token": "<secret:token>", "url": "x://h/<secret:token>", "pwd": "<secret:pwd>"}


def test_no_secret_lands_in_any_file_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--token", "from-argv", f"note={SECRET}", ITS_URL])
    config = {"db": {"password": SECRET, "url": ITS_URL}, "seed": 3}
    with pytest.raises(ValueError, match="refused"), project(tmp_path).start(config) as run:  # noqa: PT012
        assert run.config == config
        run.logger.info("connecting with %s to %s", SECRET, ITS_URL)
        with run.stage("connect"):
            raise ValueError(f"refused: {SECRET} at {ITS_URL}, {'x' + SECRET!r}")
    assert holds(run.path, SECRET, "s3cr3t-in-url", "from-argv") == []
    done = rb.open_run(run.path)
    assert done.config == {
        "db": {"password": "<secret:db.password>", "url": "postgres://me:<secret:db.url>@host:5432/db"},
        "seed": 3,
    }
    assert done.manifest["masked"] == ["db.password", "db.url"]
    assert done.manifest["masked_command"] == ["command", "token"]
    assert done.manifest["attempts"][0]["error"]["message"].startswith("refused: <secret:db.password> at postgres://")
    assert "<secret:db.password>" in (run.path / "logs" / "traceback.1.txt").read_text()
    assert done.state.endings["connect"].reasons[0].startswith("ValueError: refused: <secret:db.password>")
    assert codes(done.verify()) == []


def test_a_secret_of_many_lines_is_found_as_a_traceback_spells_it(tmp_path: Path) -> None:
    key = "-----BEGIN KEY-----\nab'c\"d\n-----END KEY-----"
    with pytest.raises(KeyError), project(tmp_path).start({"private_key": key}) as run:
        raise KeyError(key)
    assert holds(run.path, "ab'c", "BEGIN KEY", "ab\\'c") == []


def test_where_nothing_is_masked_nothing_is_said_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py"])
    run = project(tmp_path).start({"lr": 0.1, "max_tokens": 5})
    assert "masked" not in (run.path / LOG).read_text()


def test_a_run_with_masks_is_resumed_with_its_secrets_and_without(tmp_path: Path) -> None:
    config = {"db": {"password": SECRET}}
    first = project(tmp_path).start(config)
    first.finish("failed")
    with project(tmp_path).resume(first.run_id, config) as second:
        assert second.config == config
        second.finish("failed")
    third = project(tmp_path).resume(first.run_id)
    assert third.config == {"db": {"password": "<secret:db.password>"}}
    third.finish("failed")
    with project(tmp_path).resume(first.run_id, rb.open_run(first.path).config) as fourth:
        fourth.log({"x": 1})
    done = rb.open_run(first.path)
    starts = done.state.starts
    assert [starts[number]["masked"] for number in starts] == [["db.password"]] * 4
    assert len({starts[number]["config_sha256"] for number in starts}) == 1
    assert (holds(first.path, SECRET), codes(done.verify())) == ([], [])


def test_another_secret_is_no_other_configuration_for_a_reader(tmp_path: Path) -> None:
    first = project(tmp_path).start({"token": SECRET, "lr": 1})
    first.finish("failed")
    project(tmp_path).resume(first.run_id, {"token": "renewed-since", "lr": 1}).finish("failed")
    with pytest.raises(errors.ResumeRefused, match="configuration"):
        project(tmp_path).resume(first.run_id, {"token": SECRET, "lr": 2})


def test_a_process_that_joins_sees_the_masks(tmp_path: Path) -> None:
    from sample_runs import run_child  # noqa: PLC0415 - only here

    with project(tmp_path).start({"token": SECRET}) as run:
        code = f"import runbundle as rb\nwith rb.join({str(run.path)!r}) as r: print(r.config)"
        assert run_child(code, tmp_path).stdout.strip() == "{'token': '<secret:token>'}"


def test_facts_are_masked_as_the_configuration_is(tmp_path: Path) -> None:
    facts = {"hub": {"token": "of-the-facts"}, "asked": [f"name={SECRET}", (ITS_URL,)], "version": "1", "max_tokens": 7}
    owner = rb.Project("demo", store=tmp_path, facts=facts)
    with owner.start({"password": SECRET}) as run:
        pass
    told = rb.open_run(run.path).manifest
    assert told["hub"] == {"token": "<secret:hub.token>"}
    assert told["asked"] == ["name=<secret:password>", ["postgres://me:<secret:asked>@host:5432/db"]]
    assert (told["version"], told["max_tokens"]) == ("1", 7)
    assert not holds(run.path, SECRET, "of-the-facts", "s3cr3t-in-url")


def test_facts_may_not_take_the_names_that_masking_has() -> None:
    with pytest.raises(errors.InvalidName, match="masked"):
        rb.Project("demo", facts={"masked": []})


@pytest.mark.parametrize("part", ["a.", 'a="', "A_", "--a-", "token='", "-----BEGIN PRIVATE KEY-----", "x://", "a:"])
def test_looking_for_secrets_takes_no_longer_than_the_text_is_long(part: str) -> None:
    before = time.process_time()
    mask_text(part * (200_000 // len(part)) + "='\"")
    assert time.process_time() - before < 5  # a square of the length takes minutes
