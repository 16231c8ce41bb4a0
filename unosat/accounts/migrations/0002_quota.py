from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="organisation",
            name="quota_bytes",
            field=models.PositiveBigIntegerField(
                blank=True,
                help_text="What its images may take, uncompressed; 1000000000 is 1 GB. "
                "Left empty: as the server's own setting says.",
                null=True,
                verbose_name="storage limit in bytes",
            ),
        ),
    ]
