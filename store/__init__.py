"""PostgreSQL: the pool, the migrations, one typed method per query."""
