-- Take workers or nodes from the register, a node with its workers: they can claim nothing any more.
delete from v7.workers where id = any(:ids::bigint[])
returning id
