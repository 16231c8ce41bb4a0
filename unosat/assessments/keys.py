"""Where an assessment's own files lie in the store."""

from uuid import UUID


def gaps_key(assessment_id: UUID) -> str:
    """Where the ground that was not looked at lies, as GeoJSON, once the assessment is done."""
    return f"gaps/{assessment_id}.geojson"


def outlines_key(assessment_id: UUID) -> str:
    """The folder of the known outlines that came with it, and of what was made of them."""
    return f"outlines/{assessment_id}"
