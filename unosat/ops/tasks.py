"""What beat asks for: send what waits in the outbox, and look after what was interrupted."""

from celery import shared_task

from unosat.ops import inventory, outbox, sweeper


@shared_task(name="ops.relay", ignore_result=True)
def relay() -> None:
    """Send the outbox, until it is empty or the broker is away."""
    while outbox.relay() == outbox.AT_ONCE:
        pass


@shared_task(name="ops.sweep", ignore_result=True)
def sweep() -> None:
    """Queue again what lost its worker or its message; give up what cannot be done."""
    sweeper.sweep()


@shared_task(name="ops.measure_store", ignore_result=True)
def measure_store() -> None:
    """Count what the store holds, for the metrics."""
    inventory.measure()
