"""Metrics: ``log`` appends points, ``series`` reads them back."""
