from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('review', '0002_known_outlines'),
    ]

    operations = [
        migrations.AddField(
            model_name='footprint',
            name='unclassified_because',
            field=models.CharField(blank=True, max_length=15),
        ),
    ]
