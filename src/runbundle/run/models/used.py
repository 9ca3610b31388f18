"""Models that a run uses: resolved, verified, and recorded, so that the run can be traced to what they came from."""

from __future__ import annotations

from pathlib import Path

from runbundle.run.disabled import is_scratch
from runbundle.run.given import given_path
from runbundle.run.models.reference import look_up
from runbundle.run.reproduction import Reproduction
from runbundle.run.session import Session
from runbundle.run.stores import default_store, store_of


def use_model(session: Session, reference: str, store: str | Path | None) -> Path:
    """Find a model and record it; see ``RunIO.use_model``."""
    with session.acting(), session.blamed():
        home = _store(session) if store is None else given_path(store, what="the store").resolve()
        again = Reproduction.here()
        found = look_up(reference if again is None else again.reference(reference), home)
        with session.lock:
            told = {**found.to_json(), "reference": reference}
            if told not in session.state.models:
                session.say("model", attempt=session.attempt, **told)
                if session.is_creator:
                    session.rewrite_manifest()
        return found.file


def _store(session: Session) -> Path:
    """The store whose models a run uses: its own, unless it is a run that does not stay, or was taken elsewhere."""
    if session.home is not None:
        return session.home
    own = None if is_scratch(session.run_dir) else store_of(session.run_dir, session.layout)
    return own or default_store().resolve()
