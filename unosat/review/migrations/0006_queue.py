from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Places in the queue. New columns rewrite no row; indexes are made while people work."""

    atomic = False

    dependencies = [
        ('review', '0005_acts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='building',
            name='turn',
            field=models.IntegerField(db_default=2147483647, default=2147483647),
        ),
        migrations.AddField(
            model_name='building',
            name='cell',
            field=models.BigIntegerField(null=True),
        ),
        AddIndexConcurrently(
            model_name='building',
            index=models.Index(
                fields=['assessment', 'turn', 'id', 'review', 'grade', 'score', 'updated_by'],
                name='buildings_by_turn',
            ),
        ),
        AddIndexConcurrently(
            model_name='building',
            index=models.Index(
                condition=models.Q(('version__gt', 0)),
                fields=['assessment', 'updated_at', 'id', 'review', 'grade', 'score', 'updated_by'],
                name='buildings_by_decision',
            ),
        ),
        AddIndexConcurrently(
            model_name='building',
            index=models.Index(
                fields=['assessment', 'cell', 'grade', 'review', 'score'],
                name='buildings_by_cell',
            ),
        ),
    ]
