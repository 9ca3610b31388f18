"""Small simulations, and exchanges that break what an exchange must keep."""

from __future__ import annotations

from crv.engine.settings import Settings
from crv.world.exchange import Exchange, Trades
from crv.world.ledger import Ledger

SMALL = Settings(agents=30, ticks=40, seed=3, probe_every=20, holdings_every=5, append_every=10)


class Leaky(Exchange):
    """Keeps a cent of each tick's first trade, in societies of so many agents."""

    agents = SMALL.agents

    def settle(self, ledger: Ledger, trades: Trades) -> None:
        super().settle(ledger, trades)
        if len(trades) and len(ledger.cents) == self.agents:
            ledger.cents[trades.sellers[0]] -= 1


class Broken(Exchange):
    """Raises what is no error of the library, in societies of so many agents."""

    agents = SMALL.agents

    def settle(self, ledger: Ledger, trades: Trades) -> None:
        super().settle(ledger, trades)
        if len(ledger.cents) == self.agents:
            raise ZeroDivisionError("nothing to share")


class Interrupted(Broken):
    """Is interrupted there."""

    def settle(self, ledger: Ledger, trades: Trades) -> None:
        try:
            super().settle(ledger, trades)
        except ZeroDivisionError:
            raise KeyboardInterrupt from None


class Minting(Exchange):
    """Gives each buyer one unit more than was paid for."""

    def settle(self, ledger: Ledger, trades: Trades) -> None:
        super().settle(ledger, trades)
        ledger.units[trades.buyers, trades.tokens] += 1
