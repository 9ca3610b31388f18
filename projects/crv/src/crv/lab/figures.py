"""The picture of a simulation; matplotlib is imported here and nowhere else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crv.lab.series import Told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TOKENS = ("#d98a00", "#3f6f8f", "#a63d2f", "#5b7f3a", "#7a5195", "#555555")
_GROUPS = ("#1b7f79", "#7b4fa3", "#c2571a", "#4b6cb7")
_MONEY = "#555555"
_STANCES = {"bullish": "#5b9f6b", "neutral": "#c8c8c8", "bearish": "#c45d5d"}
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_DPI = 110


def overview(told: Told) -> Figure:
    """Six panels: prices, distance from the oracle, the disputed token by group, inequality, messages, the survey."""
    import matplotlib as mpl  # noqa: PLC0415 - drawn by who asks for it
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(13, 7.2), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.1))
        panels = figure.subplots(2, 3).ravel()
        for panel, draw in zip(panels, (_prices, _error, _spread, _inequality, _messages, _policy), strict=True):
            draw(panel, told)
        for panel in panels[:5]:
            panel.set_xlabel("tick")
            panel.set_xlim(0, told.prices["tick"].max() or 1)
        figure.suptitle(told.title, x=0.01, ha="left", fontsize=12)
    return figure


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file, without the time and the program that made it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """A figure as an image: uint8, shape (height, width, 3), BGR."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib has no types for it, nor for the next
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, 2::-1])  # type: ignore[no-untyped-call]


def _prices(panel: Axes, told: Told) -> None:
    panel.set_title("Prices, and what the oracle knows")
    for token_id, colour in _coloured(told.token_ids):
        price, oracle = _of(told.prices, token_id=token_id), _of(told.error, token_id=token_id)
        panel.plot(price["tick"], price["price_cents"] / 100, color=colour, lw=1, label=token_id)
        panel.plot(oracle["tick"], oracle["oracle_cents"] / 100, color=colour, lw=1.2, ls=(0, (4, 2)), alpha=0.8)
    panel.plot([], [], color="#333333", lw=1.2, ls=(0, (4, 2)), label="oracle")
    panel.set_ylabel("hundred cents a unit")
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + 0.16 * (high - low))
    panel.legend(loc="upper left", ncols=4, columnspacing=1, handlelength=1.5)


def _error(panel: Axes, told: Told) -> None:
    panel.set_title("How far minds are from the oracle")
    for token_id, colour in _coloured(told.token_ids):
        one = _of(told.error, token_id=token_id)
        panel.plot(one["tick"], 100 * one["mae_cents"] / one["oracle_cents"], color=colour, lw=1.3, label=token_id)
    panel.set_ylabel("mean absolute error, % of worth")
    panel.set_ylim(bottom=0)
    panel.legend(loc="best")


def _spread(panel: Axes, told: Told) -> None:
    panel.set_title(f"What groups hold {told.disputed} to be worth")
    labels = told.spread["group_label"].unique().sort()
    for label, colour in zip(labels, _GROUPS, strict=False):
        one = _of(told.spread, group_label=label)
        mean, sd = one["mean_cents"] / 100, one["sd_cents"].fill_null(0) / 100
        panel.fill_between(one["tick"], mean - sd, mean + sd, color=colour, alpha=0.18, lw=0)
        panel.plot(one["tick"], mean, color=colour, lw=1.5, label=f"{label}, mean ± sd")
    price = _of(told.prices, token_id=told.disputed)
    panel.plot(price["tick"], price["price_cents"] / 100, color="#333333", lw=0.7, alpha=0.6, label="price")
    panel.set_ylabel("hundred cents a unit")
    panel.legend(loc="best")


def _inequality(panel: Axes, told: Told) -> None:
    panel.set_title("How unequally things are held")
    found = told.inequality["token_id"].unique().to_list()
    others = [(name, _MONEY) for name in sorted(set(found) - set(told.token_ids))]
    for token_id, colour in (*_coloured(told.token_ids), *others):
        one = _of(told.inequality, token_id=token_id)
        panel.plot(one["tick"], one["gini"], color=colour, lw=1.5, label=token_id)
    panel.set_ylabel("Gini coefficient (0: all hold the same)")
    panel.set_ylim(0, 1)
    panel.legend(loc="best", ncols=2)


def _messages(panel: Axes, told: Told) -> None:
    panel.set_title("What is said about prices")
    ticks = told.messages["tick"].unique().sort()
    rows = []
    for stance in _STANCES:
        one = pl.DataFrame({"tick": ticks}).join(_of(told.messages, stance_label=stance), on="tick", how="left")
        rows.append(one.sort("tick")["per_tick"].fill_null(0).to_numpy())
    panel.stackplot(ticks, rows, colors=list(_STANCES.values()), labels=list(_STANCES), step="post", lw=0)
    panel.set_ylabel("messages a tick")
    panel.legend(loc="lower left", ncols=3, frameon=True, framealpha=0.85, edgecolor="none")


def _policy(panel: Axes, told: Told) -> None:
    panel.set_title("Survey: what the context does")
    if told.policy is None:
        panel.text(0.5, 0.5, "there was no survey", ha="center", va="center", transform=panel.transAxes)
        panel.set_axis_off()
        return
    contexts = told.policy["context"].unique(maintain_order=True).to_list()
    base = dict(_of(told.policy, context=contexts[0]).select("token_id", "mean_cents").iter_rows())
    for place, (token_id, colour) in enumerate(_coloured(told.token_ids)):
        one = _of(told.policy, token_id=token_id)
        change, spread = 100 * (one["mean_cents"] / base[token_id] - 1), 100 * one["sd_cents"] / base[token_id]
        height = np.arange(len(contexts)) + 0.2 * (place - (len(told.token_ids) - 1) / 2)
        panel.errorbar(
            change, height, xerr=spread.fill_null(0), fmt="o", ms=4.5, color=colour, label=token_id, capsize=2
        )
    panel.axvline(0, color="#333333", lw=0.8)
    panel.set_yticks(
        np.arange(len(contexts)), [context.replace("_", " ").replace("among ", "among\n") for context in contexts]
    )
    panel.set_ylim(len(contexts) - 0.4, -1.1)
    panel.set_xlabel(f"answer against '{contexts[0]}', %: mean ± sd")
    panel.legend(loc="upper left", ncols=3, columnspacing=1)


def _coloured(token_ids: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(token_ids, _TOKENS, strict=False))


def _of(frame: pl.DataFrame, **wanted: Any) -> pl.DataFrame:
    return frame.filter(**wanted)
