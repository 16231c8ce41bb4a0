from django.db import migrations, models


class Migration(migrations.Migration):
    """A constant default, kept by the database: no row is rewritten, and old workers go on."""

    dependencies = [
        ('ops', '0003_fetch'),
    ]

    operations = [
        migrations.AddField(
            model_name='job',
            name='interruptions',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
