"""A small training of a Transformers ``Trainer``, whose loss is known. Importable only where that is installed."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import PreTrainedConfig, PreTrainedModel

STEPS = 4


class TinyConfig(PreTrainedConfig):
    model_type = "tiny"

    def __init__(self, width: int = 1, **more: Any) -> None:
        self.width = width
        super().__init__(**more)


class Tiny(PreTrainedModel):
    """Its loss at step n is 2 ** -n."""

    config_class = TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.layer = torch.nn.Linear(config.width, 1)
        self.calls = 0
        self.fails_at: int | None = None
        self.post_init()

    def forward(self, x: Any, labels: Any = None) -> Any:
        if self.calls == self.fails_at:
            raise ZeroDivisionError("it diverged")
        loss = self.layer(x).mean() * 0 + 0.5**self.calls
        self.calls += 1
        return {"loss": loss, "logits": self.layer(x) if labels is None else labels}


class Data(torch.utils.data.Dataset):  # type: ignore[misc, name-defined, unused-ignore] # of a package mypy does not see
    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> Any:
        return {"x": torch.ones(1), "labels": torch.ones(1)}


def trainer(*callbacks: Any, model: Any = None, **more: Any) -> Any:
    quiet = {"disable_tqdm": True, "report_to": "none", "save_strategy": "no"}
    given = {"num_train_epochs": 1, "logging_steps": 1, "per_device_train_batch_size": 1, "use_cpu": True, **quiet}
    arguments = transformers.TrainingArguments(output_dir="out", **{**given, **more})
    return transformers.Trainer(model or Tiny(TinyConfig()), arguments, train_dataset=Data(), callbacks=list(callbacks))
