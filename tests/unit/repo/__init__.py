"""Tests of the documents, supervisor.conf, the containers and the shape of the house."""
