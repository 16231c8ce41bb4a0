from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Who decided on an assessment, found without reading its decisions; made while people work."""

    atomic = False

    dependencies = [
        ("assessments", "0003_turns"),
        ("review", "0006_queue"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="decision",
            index=models.Index(fields=["assessment", "user"], name="decisions_by_user"),
        ),
    ]
