"""Grades as people see them: the mark with its glyph, coloured by the styles."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from unosat.quality.words import GLYPHS

register = template.Library()


@register.simple_tag
def grade_mark(grade: str) -> SafeString:
    """The badge of a grade; "" for what is no grade. The name stands beside it."""
    if grade not in GLYPHS:
        return SafeString("")
    return format_html(
        '<span class="grade-mark grade-{}" aria-hidden="true">{}</span>', grade, GLYPHS[grade]
    )
