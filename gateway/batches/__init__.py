"""Batches of questions: ``store`` keeps them in Redis, ``answering`` has the agent answer one item.

An item is asked with the rights that its owner has when it is asked, not when the batch was made.
"""
