"""Addresses of uploads and raster tiles, below the API's."""

from django.urls import path

from unosat.scenes import tiles, tus

urlpatterns = [
    path("uploads", tus.create_upload, name="uploads"),
    path("uploads/<uuid:upload_id>", tus.one_upload, name="upload"),
    path("uploads/<uuid:upload_id>.json", tus.upload_state, name="upload-state"),
    path(
        "tiles/scenes/<uuid:scene_id>/<int:z>/<int:x>/<int:y>.webp",
        tiles.scene_tile,
        name="scene-tile",
    ),
    path("tiles/scenes/<uuid:scene_id>/overview.webp", tiles.scene_overview, name="scene-overview"),
    path("tiles/scenes/<uuid:scene_id>/tilejson.json", tiles.scene_tilejson, name="scene-tilejson"),
]
