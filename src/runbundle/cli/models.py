"""``runbundle models``: what is there, and how it comes in, is named and found."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from runbundle.base import jsontext
from runbundle.base.errors import DecodeError, InputNotFound, InvalidValue
from runbundle.cli.common import add_store, print_json, print_table, run_folder, store_of
from runbundle.cli.exits import GOOD
from runbundle.contract.model import ModelSpec
from runbundle.io.atomic import os_errors
from runbundle.io.confine import read_regular
from runbundle.run.given import given_path
from runbundle.run.models.model import Model
from runbundle.run.models.reference import look_up
from runbundle.store import models

REFERENCE = "local://<path>, model://[<skill>/]<name>@<alias>, or run://<project>/<run_id>/<artifact>"
EXAMPLES = """\
examples:
  runbundle models promote RUN best --skill perception/segmentation --if "metrics.val_iou > 0.8"
  runbundle models alias local://perception/segmentation/unet/trained/base/2026-11-21_0123456789ab production
  runbundle models resolve model://unet@production
  runbundle models add sam.onnx --skill perception/segmentation --name sam --source https://example.org/sam
  runbundle models ls
"""
ACTIONS = {
    "ls": "list the models of a store",
    "promote": "make a model of an artifact of a run that is sealed, intact and complete",
    "add": "take in a model that was made elsewhere",
    "alias": "let an alias stand for a model: model://NAME@ALIAS",
    "resolve": "print the file that a reference names; its bytes are checked",
}


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments, and those of what it can do."""
    parser.epilog = f"{EXAMPLES}\n{parser.epilog or ''}"
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name, text in ACTIONS.items():
        action = actions.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=parser.epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        action.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks")
        _ARGUMENTS[name](action)
        add_store(action)


def _promote_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_name", metavar="RUN", help="a run folder, or a run id (or a unique beginning of it)")
    parser.add_argument("artifact", metavar="ARTIFACT", help="the artifact's id")
    parser.add_argument("--artifact-variant", metavar="VARIANT", help="which one of several artifacts of the id")
    _name_arguments(parser)
    parser.add_argument("--if", dest="rule", metavar="RULE", help='what must hold: "metrics.val_iou > 0.8"')


def _name_arguments(parser: argparse.ArgumentParser) -> None:
    is_known = "for an artifact: as its spec says"
    parser.add_argument("--skill", help=f"what the model is for: perception/segmentation (default {is_known})")
    parser.add_argument("--name", help=f"what it is called (default {is_known}, else as the project or the file)")
    parser.add_argument("--variant", help=f"which of several of that name (default {is_known}, else base)")
    parser.add_argument("--input", metavar="FILE", help="a JSON file that says what the model takes as input")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the model's file")
    _name_arguments(parser)
    parser.add_argument("--source", required=True, help="where it is from: a page, a paper, a person")
    parser.add_argument("--license", dest="licence", help="what may be done with it")


def _alias_arguments(parser: argparse.ArgumentParser) -> None:
    _reference_argument(parser)
    parser.add_argument("alias", metavar="NAME", help="best, production ...; it may have stood for another before")


def _reference_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reference", metavar="REF", help=REFERENCE)


_ARGUMENTS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "ls": lambda _: None,
    "promote": _promote_arguments,
    "add": _add_arguments,
    "alias": _alias_arguments,
    "resolve": _reference_argument,
}


def run(options: argparse.Namespace) -> int:
    """Do what was asked for."""
    return _ACTIONS[options.action](options)


def _list(options: argparse.Namespace) -> int:
    rows = models.list_models(store_of(options))
    if options.json:
        print_json({"store": str(store_of(options)), "models": [row.to_json() for row in rows]})
    else:
        header = ("MODEL", "ALIASES", "FORMAT", "BYTES", "FROM")
        print_table(header, (_cells(row) for row in rows))
    return GOOD


def _cells(row: models.ListedModel) -> tuple[str, ...]:
    place = f"local://{row.path.partition('/')[2]}"
    if row.model is None:
        return place, "-", "-", "-", f"damaged: {row.error}"
    source, taken_from = row.model.source or {}, row.model.manifest.get("taken_from") or {}
    origin = str(source.get("run_id") or taken_from.get("source") or "-")
    names = f"unreadable: {row.error}" if row.error else " ".join(f"@{name}" for name in row.aliases) or "-"
    return place, names, str(row.model.manifest["format"]), str(row.model.bytes), origin


def _promote(options: argparse.Namespace) -> int:
    found = models.promote(
        run_folder(options, options.run_name),
        options.artifact,
        variant=options.artifact_variant,
        skill=options.skill,
        name=options.name,
        model_variant=options.variant,
        input_spec=_input_spec(options),
        rule=options.rule,
        store=options.store,
    )
    return _told(options, found)


def _add(options: argparse.Namespace) -> int:
    name = options.name or Path(options.file).stem.lower()
    if options.skill is None:
        raise InvalidValue("Nothing says what the model is for", hint="Give --skill, such as perception/segmentation")
    named = ModelSpec(options.skill, name, options.variant or "base", _input_spec(options))
    return _told(
        options, models.add(options.file, named, source=options.source, licence=options.licence, store=options.store)
    )


def _input_spec(options: argparse.Namespace) -> dict[str, Any] | None:
    if options.input is None:
        return None
    path = given_path(options.input, what="--input")
    with os_errors("Reading", path):
        if not path.is_file():
            raise InputNotFound(f"There is no file {path}", hint="Check --input", path=path)
        data = read_regular(path)
    try:
        told = jsontext.parse(data, what=path.name)
    except DecodeError as error:
        raise InvalidValue(error.what, hint="--input is a file of one JSON object", path=path) from error
    if not isinstance(told, dict):
        raise InvalidValue(f"{path.name} holds no JSON object", hint="--input is a file of one JSON object", path=path)
    return told


def _alias(options: argparse.Namespace) -> int:
    return _told(options, models.alias(options.reference, options.alias, store=options.store))


def _told(options: argparse.Namespace, model: Model) -> int:
    """What a model is called, for a person or a script."""
    if options.json:
        print_json({"path": model.path, "reference": model.reference, "manifest": dict(model.manifest)})
    else:
        print(model.reference)
    return GOOD


def _resolve(options: argparse.Namespace) -> int:
    found = look_up(options.reference, store_of(options).resolve())
    if options.json:
        print_json({"file": str(found.file), **found.to_json()})
    else:
        print(found.file)
    return GOOD


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "ls": _list,
    "promote": _promote,
    "add": _add,
    "alias": _alias,
    "resolve": _resolve,
}
