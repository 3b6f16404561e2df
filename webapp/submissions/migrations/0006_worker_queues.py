from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('submissions', '0005_fair_turns'),
    ]

    operations = [
        migrations.AddField(
            model_name='workerbeat',
            name='queues',
            field=models.JSONField(default=list, help_text='Those it serves.'),
        ),
    ]
