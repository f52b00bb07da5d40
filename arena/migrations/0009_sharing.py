from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("arena", "0008_submissions"),
    ]

    operations = [
        migrations.AddField(
            model_name="arena",
            name="sharing",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="What the public may take away as files: see arena.sharing. Empty: all that it sees.",
            ),
        ),
    ]
