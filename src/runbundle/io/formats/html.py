"""HTML pages: text with another content type. The library never renders them."""

from __future__ import annotations

from runbundle.io.formats.text import TextFormat


class HtmlFormat(TextFormat):
    """A str that holds a page."""

    name = "html"
    extensions = (".html", ".htm")
    content_type = "text/html; charset=utf-8"


FORMAT = HtmlFormat()
