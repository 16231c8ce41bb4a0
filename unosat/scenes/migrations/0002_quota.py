from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import BigIntegerField, Case, F, Value, When
from django.db.models.functions import Cast


def measure_kept_scenes(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """What images that were checked before take, from what is known of them."""
    sample_bytes = Case(When(dtype="uint16", then=Value(2)), default=Value(1))
    apps.get_model("scenes", "Scene").objects.filter(state="ready").update(
        decoded_bytes=Cast(F("width"), BigIntegerField()) * F("height") * F("bands") * sample_bytes
    )


class Migration(migrations.Migration):
    dependencies = [("scenes", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="scene",
            name="decoded_bytes",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="upload",
            name="said",
            field=models.TextField(blank=True),
        ),
        migrations.RunPython(measure_kept_scenes, migrations.RunPython.noop),
    ]
