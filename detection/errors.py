"""Deliberate refusals: a code for machines, a sentence for people, detail for the log."""

from typing import ClassVar


class DetectionError(Exception):
    """Base of every deliberate error. ``str(error)`` is the detail, for logs only.

    Attributes:
        code: stable identifier for clients, dashboards and tests; never reworded.
        user_message: one plain sentence saying what to do; no paths, no internals.
        retryable: whether running the same work again may succeed.
    """

    code: ClassVar[str] = "detection_failed"
    user_message: ClassVar[str] = (
        "Detection failed; nothing was saved. Try again, or ask an admin to read the log."
    )
    retryable: ClassVar[bool] = False


class UnreadableRaster(DetectionError):
    """The file cannot be opened or its pixels cannot be decoded."""

    code = "unreadable_raster"
    user_message = "The image cannot be read. Export it again as a GeoTIFF and try once more."


class ImageAway(DetectionError):
    """An image in a store could not be read. The network may be at fault: this is no damage."""

    code = "image_away"
    user_message = (
        "The storage of images did not give the image. Try again later; if that does not help, "
        "ask an admin whether the image is still in the storage."
    )
    retryable = True


class MissingGeoreference(DetectionError):
    """The raster carries no CRS or no usable transform."""

    code = "missing_georeference"
    user_message = "The image has no map position. Export it with its coordinate system included."


class UnsupportedCrs(DetectionError):
    """The CRS does not place pixels on a map: compound, vertical, geocentric or local."""

    code = "unsupported_crs"
    user_message = (
        "The coordinate system of this image is not a plain map system. "
        "Export it in UTM or WGS 84, without heights."
    )


class UnsupportedBands(DetectionError):
    """The number, type or meaning of the bands is not one that the models were made for."""

    code = "unsupported_bands"
    user_message = (
        "The image must have 1, 3, 4 or 8 bands of 8 or 16 bits, taken in visible light. "
        "Export it that way, or say which bands are red, green and blue."
    )


class UnsupportedPixelSize(DetectionError):
    """Pixels are smaller than 0.05 m or larger than 1.5 m."""

    code = "unsupported_pixel_size"
    user_message = (
        "The pixels of this image are not between 0.05 and 1.5 metres, so single buildings "
        "cannot be judged in it. Use a sharper image, or resample a very sharp one."
    )


class EmptyImage(DetectionError):
    """No pixel of the image (or of the area asked for) is valid."""

    code = "empty_image"
    user_message = (
        "The image holds no valid pixels in the area asked for. "
        "Check its nodata value and the area."
    )


class BadArea(DetectionError):
    """The area to look at cannot be read."""

    code = "bad_area"
    user_message = (
        "The area cannot be read. It must be GeoJSON: polygons in longitude and latitude."
    )


class ModelUnavailable(DetectionError):
    """Weights are missing, damaged, or not the ones recorded."""

    code = "model_unavailable"
    user_message = "The detection model is missing or damaged. Ask an admin to install it again."
    retryable = True


class EngineUnavailable(ModelUnavailable):
    """The engine that was asked for is not one of ours, or is not installed."""

    code = "engine_unavailable"
    user_message = (
        "The engine that was asked for is not installed here. Ask an admin to install it as the "
        "README says, or to set UNOSAT_DETECTOR to torchvision, which needs nothing more."
    )
    retryable = False


class PickledWeights(ModelUnavailable):
    """A weights file is a pickle, which runs what it holds as it is opened."""

    code = "pickled_weights"
    user_message = (
        "Weights in .pkl, .pth or .pt files can run programs when they are opened, so they are "
        "not read. If you trust the file, save its arrays as .npz or .safetensors and give that."
    )
    retryable = False


class BadLabels(DetectionError):
    """Labels cannot be read or do not belong to their image."""

    code = "bad_labels"
    user_message = (
        "The labels cannot be read or do not fit their image. Check their format and coordinates."
    )


class TrainingDiverged(DetectionError):
    """The loss of a training is no finite number any more."""

    code = "training_diverged"
    user_message = (
        "The training went astray and was stopped; nothing was saved. Try a lower learning rate."
    )


class NothingToExamine(BadLabels):
    """All chips are needed to teach: none is left to find out whether it helped."""

    code = "nothing_to_examine"
    user_message = (
        "The chips cannot be parted into some to teach and some, elsewhere, to examine: use chips "
        "of one event from at least two places."
    )


class NoBetter(DetectionError):
    """What was taught did not make the model better where it had not been taught."""

    code = "no_better"
    user_message = (
        "The adapted model was no better than before on the chips kept aside, so it was not "
        "written. Check the grades of the chips, or use more of them."
    )


class UnreadableOutlines(DetectionError):
    """The file of known outlines is damaged, or in none of the formats that are read."""

    code = "unreadable_outlines"
    user_message = (
        "The outlines cannot be read. Save them as GeoJSON, GeoPackage, Shapefile, FlatGeobuf or "
        "GeoParquet, under a name with the ending of that format."
    )


class OutlinesWanted(DetectionError):
    """Something was asked for that only makes sense with known outlines."""

    code = "outlines_wanted"
    user_message = "--also-detect and --move-outlines need --outlines FILE beside them."


class OutlinesWithoutCrs(DetectionError):
    """The file of known outlines does not say what its coordinates are."""

    code = "outlines_without_crs"
    user_message = (
        "The outlines carry no coordinate system. Export them again in WGS 84; "
        "a Shapefile needs its .prj file beside it."
    )


class NoOutlines(DetectionError):
    """The file of known outlines holds no polygon."""

    code = "no_outlines"
    user_message = (
        "The file holds no building outlines. Points and lines cannot be judged: use polygons, "
        "or leave the file out and let the buildings be found."
    )


class SeveralOutlineLayers(DetectionError):
    """The file of known outlines has more than one layer of polygons."""

    code = "several_outline_layers"
    user_message = (
        "The file holds several layers of polygons. "
        "Save the layer with the buildings as a file of its own."
    )


class OutlinesElsewhere(DetectionError):
    """No outline lies on the image."""

    code = "outlines_elsewhere"
    user_message = (
        "None of the outlines lies on this image, or in the area asked for. Check that they "
        "belong together, and the outlines' coordinate system (in GeoJSON longitude comes first)."
    )


class BuildingNotFound(DetectionError):
    """A building that was asked about is not in the file, or not on the image."""

    code = "building_not_found"
    user_message = (
        "There is no such building in the file, or it is not on the image. Check that the image, "
        "the file of footprints and the id belong together."
    )


class BeforeElsewhere(DetectionError):
    """The image before shows other ground than the image after."""

    code = "before_elsewhere"
    user_message = (
        "The image before does not show the place of the image after. Choose another one, or leave "
        "it out."
    )


class BeforeTooFarOff(DetectionError):
    """The two images of a pair lie farther apart than can be put right."""

    code = "before_too_far_off"
    user_message = (
        "The image before lies more than 15 m off the image after, so that buildings would be "
        "compared with their neighbours. Register the two images to each other, or leave the "
        "image before out."
    )


class WrongModel(DetectionError):
    """A model for pairs was given one image, or the other way round."""

    code = "wrong_model"
    user_message = (
        "This model does not fit the images: one kind takes an image from before and one from "
        "after the disaster, the other only the one from after. Choose another model."
    )


class BadOutput(DetectionError):
    """The output cannot be written as asked."""

    code = "bad_output"
    user_message = (
        "The result cannot be written there. "
        "Use a name that ends in .geojson, .gpkg, .fgb or .parquet."
    )


class Cancelled(DetectionError):
    """Somebody asked for the work to stop; raised between two tiles."""

    code = "cancelled"
    user_message = "The analysis was cancelled."
