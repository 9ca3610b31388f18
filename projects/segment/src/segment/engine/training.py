"""The stages of a training: frames in, a network learnt, predictions and exports out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import runbundle as rb
from segment.contract import ArtifactId
from segment.engine.figures import overview
from segment.frames.dataset import Frames, load, save
from segment.frames.real import load_real
from segment.frames.render import render
from segment.learning.export import to_onnx
from segment.learning.loop import Learner, iou, predict
from segment.settings import Settings

Progress = Callable[[str, int, int], None]
_SURE = 0.5


@dataclass(frozen=True, slots=True)
class Split:
    """Frames to learn from, and those that are never trained on."""

    train: Frames
    held_out: Frames


def train(run: rb.RunIO, settings: Settings, progress: Progress = lambda *_: None) -> None:
    """Do all stages of a training, which leaves what the project's contract asks for.

    Args:
        run: the handle of the run.
        settings: what is asked for.
        progress: told what is being done, how much of it is, and of how much.
    """
    with run.stage("frames"):
        split = take_frames(run, settings, progress)
    with run.stage("train"):
        learner = learn(run, settings, split, progress)
    with run.stage("predict"):
        tell_predictions(run, settings, split.held_out, learner)
        judge_real(run, settings, learner)
    with run.stage("export"):
        run.write(ArtifactId.ONNX, to_onnx(learner.net, settings.size_px))


def take_frames(run: rb.RunIO, settings: Settings, progress: Progress) -> Split:
    """Ingest the file of frames, rendered if it is not there, and split it."""
    place = Path(settings.frames.file).absolute()
    try:
        taken = run.ingest(place)  # first: a run that is made again has its frames, wherever they were
    except rb.errors.InputNotFound:
        save(rendered(settings, progress), place)
        taken = run.ingest(place)
    frames = load(taken)
    if frames.images.shape[1:3] != (settings.frames.height, settings.frames.width):
        raise rb.errors.InvalidConfig(
            f"{place.name} holds frames of {frames.images.shape[2]} x {frames.images.shape[1]}",
            hint="Give another frames.file, or their width and height",
        )
    order = np.random.default_rng(settings.frames.seed).permutation(len(frames))
    held_out = max(1, round(settings.frames.held_out * len(frames)))
    return Split(train=frames.some(np.sort(order[held_out:])), held_out=frames.some(np.sort(order[:held_out])))


def rendered(settings: Settings, progress: Progress) -> Frames:
    """The frames that the settings ask for."""
    count, done = settings.frames.count, 0

    def more(number: int) -> None:
        nonlocal done
        done += number
        progress("rendering frames", done, count)

    return render(count, settings.frames.seed, settings.size_px, more)


def learn(run: rb.RunIO, settings: Settings, split: Split, progress: Progress) -> Learner:
    """Learn for the epochs asked for; the network is left as it was when it was best on the held-out frames."""
    learner = Learner.begin(settings, len(split.train))
    best, weights = -1.0, learner.net.state_dict()
    for epoch in range(settings.train.epochs):
        for metrics in learner.epoch(split.train, settings.train.batch):
            run.log(metrics, step=learner.step)
            if learner.step % settings.checkpoints.every_steps == 0:
                run.background.write(ArtifactId.LAST, learner.state(), replace=True)
        found = predict(learner.net, split.held_out, settings.train.batch) > _SURE
        score = iou(found, split.held_out.masks)
        run.log({"val/iou": score}, step=learner.step)
        if score > best:
            best = score
            weights = {name: tensor.clone() for name, tensor in learner.net.state_dict().items()}
            run.background.write(
                ArtifactId.BEST, {"net": weights, "step": learner.step, "val_iou": score}, replace=True
            )
        progress("training", epoch + 1, settings.train.epochs)
    run.background.write(ArtifactId.LAST, learner.state(), replace=True)
    learner.net.load_state_dict(weights)
    run.summary["val_iou"] = best
    return learner


def tell_predictions(run: rb.RunIO, settings: Settings, frames: Frames, learner: Learner) -> None:
    """Write what is found on each held-out frame, and a picture of it all.

    A frame's timestamp is its place in the file, in frames.
    """
    chances = predict(learner.net, frames, settings.train.batch)
    masks = np.asarray(chances > _SURE, np.uint8)
    for number, name in enumerate(frames.names):
        run.write_frame(
            ArtifactId.FRAME,
            number,
            {"mask": masks[number], "probability": np.rint(chances[number] * 255).astype(np.uint8)},
            timestamp=float(number),
            intrinsics=frames.intrinsics[number],
            meta={"source": name},
        )
    run.write(ArtifactId.OVERVIEW, overview(frames, masks))


def judge_real(run: rb.RunIO, settings: Settings, learner: Learner) -> None:
    """Say how the network does on real photos, where a folder of them was given."""
    if settings.frames.real is None:
        return
    frames = load_real(Path(settings.frames.real), settings.size_px)
    if frames is None:
        run.logger.warning("%s holds no photos with truth.json: real photos were not judged", settings.frames.real)
        return
    found = predict(learner.net, frames, settings.train.batch) > _SURE
    run.summary["real_iou"] = iou(found, frames.masks)
