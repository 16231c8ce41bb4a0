from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """What claiming the next shard reads. Made beside running workers, which go on writing."""

    atomic = False

    dependencies = [
        ('assessments', '0002_poison_and_urgent'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='shard',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['assessment', 'index'], name='shards_waiting'),
        ),
        AddIndexConcurrently(
            model_name='assessment',
            index=models.Index(condition=models.Q(('state', 'running')), fields=['created_at'], name='assessments_running'),
        ),
    ]
