"""Template tags: the built scripts and styles, and words for people."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

MINUTE, HOUR = 60, 3600  # seconds


@register.simple_tag
def entry(name: str) -> SafeString:
    """The tags that load one entry of the front end: its styles, its script.

    Args:
        name: the entry's file below ``frontend/src/entries``.
    """
    manifest = _manifest()
    chunk = manifest[f"src/entries/{name}"]
    links = format_html_join(
        "\n",
        '<link rel="stylesheet" href="{}">',
        ((static(file),) for file in _styles(manifest, f"src/entries/{name}")),
    )
    script = format_html('<script type="module" src="{}"></script>', static(chunk["file"]))
    return format_html("{}\n{}", links, script)


@register.filter
def in_words(seconds: float | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return "not known yet"
    if seconds < MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR:
        return f"{round(seconds / MINUTE)} min"
    return f"{seconds / HOUR:.1f} h"


@register.filter
def percent(part: float | None) -> str:
    """A fraction in whole percent."""
    return "not known" if part is None else f"{part:.0%}".replace("%", " %")


@register.filter
def file_size(count: int) -> str:
    """Bytes in decimal units."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _styles(manifest: dict[str, Any], key: str) -> list[str]:
    """Style sheets of a chunk and of all that it imports, each once."""
    found: dict[str, None] = {}
    waiting, seen = [key], {key}
    while waiting:
        chunk = manifest[waiting.pop()]
        found |= dict.fromkeys(chunk.get("css", ()))
        following = [name for name in chunk.get("imports", ()) if name not in seen]
        seen.update(following)
        waiting += following
    return list(found)


def _manifest() -> dict[str, Any]:
    path: Path = settings.BASE_DIR / "frontend" / "dist" / "manifest.json"
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError as error:
        raise ImproperlyConfigured("The front end is not built: run `make run`.") from error


@lru_cache(maxsize=2)
def _read(path: Path, _changed_at: int) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(path.read_text())
    return manifest
