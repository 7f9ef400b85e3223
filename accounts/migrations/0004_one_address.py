import logging

from django.core.exceptions import ValidationError
from django.db import migrations, models

import config.emails
import config.texts

logger = logging.getLogger("accounts.migrations")


def store_the_normal_form(apps, schema_editor):
    """Bring every address to its normal form, unless another user already has it.

    A user whose address cannot be brought to it keeps the address as it is, and can still sign in with
    it. The log names each of them by their id, never by the address.
    """
    users = apps.get_model("accounts", "User").objects.using(schema_editor.connection.alias)
    for pk, email in users.order_by("created_at", "pk").values_list("pk", "email").iterator():
        try:
            normal = config.emails.normal(email)
        except ValidationError as error:
            logger.warning("User %s: mail cannot be sent to their address. %s", pk, error.messages[0])
            continue
        if normal == email:
            continue
        other = users.filter(email=normal).first()
        if other is not None:
            logger.warning(
                "User %s has the same address as user %s, in another spelling. Both keep theirs: each"
                " signs in with the spelling that they registered.", pk, other.pk,
            )
            continue
        users.filter(pk=pk).update(email=normal)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_sign_ins")]

    operations = [
        migrations.AlterField(
            model_name="user",
            name="display_name",
            field=models.CharField(
                blank=True, max_length=100, validators=[config.texts.validate_name]
            ),
        ),
        migrations.AlterField(
            model_name="user",
            name="email",
            field=models.EmailField(
                max_length=254, unique=True, validators=[config.emails.validate]
            ),
        ),
        migrations.RunPython(store_the_normal_form, migrations.RunPython.noop, elidable=True),
    ]
