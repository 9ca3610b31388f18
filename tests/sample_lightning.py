"""A small training of Lightning, whose loss is known. Importable only where Lightning is installed."""

from __future__ import annotations

import warnings
from typing import Any

import lightning
import torch
from lightning.pytorch import LightningModule

WARNINGS = (
    r".*does not have many workers",
    r".*isinstance\(treespec, LeafSpec\)",
    r".*You defined a `validation_step` but have no `val_dataloader`",
    r".*Checkpoint directory .* exists and is not empty",
)
STEPS, EPOCHS = 3, 2


def be_quiet() -> None:
    """Let Lightning's warnings be; others are errors still."""
    for text in WARNINGS:
        warnings.filterwarnings("ignore", message=text)


class Model(LightningModule):
    """Its loss at step n is 2 ** -n."""

    def __init__(self, lr: float = 0.1, kind: Any = "tiny") -> None:  # noqa: ARG002 - Lightning takes them from the frame
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)
        self.fails_at: int | None = None
        self.error: BaseException = ZeroDivisionError("it diverged")

    def training_step(self, batch: Any, _: int) -> Any:
        if self.global_step == self.fails_at:
            raise self.error
        loss = self.layer(batch[0]).mean() * 0 + 0.5**self.global_step
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        self.log("val_loss", self.layer(batch[0]).mean() * 0 + 1 / (self.current_epoch + 1))

    def test_step(self, batch: Any) -> None:
        self.log("test_loss", self.layer(batch[0]).mean() * 0 + 0.25)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


def data() -> Any:
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(STEPS, 1)))


def trainer(logger: Any, **more: Any) -> Any:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    given = {"enable_checkpointing": False, "max_epochs": EPOCHS, "log_every_n_steps": 1, **quiet, **more}
    return lightning.Trainer(logger=logger, accelerator="cpu", default_root_dir="lightning", **given)
