"""Addresses of uploads and raster tiles, below the API's."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
