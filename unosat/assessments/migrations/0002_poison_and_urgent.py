from django.db import migrations, models


class Migration(migrations.Migration):
    """Constant defaults, kept by the database: no row is rewritten, and old workers go on."""

    dependencies = [
        ('assessments', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='assessment',
            name='urgent',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='assessment',
            name='input_sha256',
            field=models.CharField(blank=True, db_default='', max_length=64),
        ),
        migrations.AddField(
            model_name='assessment',
            name='model_sha256',
            field=models.CharField(blank=True, db_default='', max_length=64),
        ),
        migrations.AddField(
            model_name='assessment',
            name='options_sha256',
            field=models.CharField(blank=True, db_default='', max_length=64),
        ),
        migrations.AddField(
            model_name='shard',
            name='interruptions',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='shard',
            name='waiting_because',
            field=models.CharField(blank=True, db_default='', max_length=400),
        ),
        migrations.AddField(
            model_name='shard',
            name='failure_code',
            field=models.CharField(blank=True, db_default='', max_length=40),
        ),
        migrations.AddField(
            model_name='shard',
            name='failure_message',
            field=models.CharField(blank=True, db_default='', max_length=400),
        ),
        migrations.AddField(
            model_name='shard',
            name='log',
            field=models.TextField(blank=True, db_default=''),
        ),
        migrations.AlterField(
            model_name='shard',
            name='state',
            field=models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('failed_poison', 'Failed Poison')], default='waiting', max_length=15),
        ),
    ]
